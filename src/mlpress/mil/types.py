"""Types of MIL values."""

from __future__ import annotations

from dataclasses import dataclass

from mlpress.bits import DType


@dataclass(frozen=True, slots=True)
class TensorType:
    """A tensor of `dtype`; an axis whose size is known only when the model runs is None."""

    dtype: DType
    shape: tuple[int | None, ...]

    def __repr__(self) -> str:
        sizes = ", ".join("?" if size is None else str(size) for size in self.shape)
        return f"{self.dtype}[{sizes}]"


@dataclass(frozen=True, slots=True)
class StringType:
    """Strings: a scalar for shape ``()``, else an array of them."""

    shape: tuple[int | None, ...] = ()


@dataclass(frozen=True, slots=True)
class ListType:
    """A list of values of one type; `length` is None when it can change."""

    element: Type
    length: int | None


@dataclass(frozen=True, slots=True)
class TupleType:
    elements: tuple[Type, ...]


@dataclass(frozen=True, slots=True)
class DictionaryType:
    key: Type
    value: Type


@dataclass(frozen=True, slots=True)
class StateType:
    """A variable that lives across predictions and holds a value of type `wrapped` (iOS 18)."""

    wrapped: Type


Type = TensorType | StringType | ListType | TupleType | DictionaryType | StateType
