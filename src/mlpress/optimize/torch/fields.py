"""Types of configuration fields: what coremltools takes for each, checked and brought to one form."""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import Enum
from typing import Annotated, Any, Final

import torch
from pydantic import BeforeValidator

# torch has no types of 4 bits: the number of bits is taken from the name, beside the type that holds them.
_DTYPES: Final[dict[str, torch.dtype]] = {
    "int3": torch.int8,
    "int4": torch.int8,
    "int8": torch.int8,
    "uint3": torch.uint8,
    "uint4": torch.uint8,
    "uint8": torch.uint8,
    "qint4": torch.qint8,
    "qint8": torch.qint8,
    "quint4": torch.quint8,
    "quint8": torch.quint8,
    "fp8_e4m3": torch.float8_e4m3fn,
    "fp8_e5m2": torch.float8_e5m2,
    "float16": torch.float16,
    "float32": torch.float32,
}


def dtype_in(*names: str) -> BeforeValidator:
    """Returns a check that a value is one of some types, by name or as torch's; makes it a name.

    Integer types of torch and their quantized forms (``torch.qint8``) are 8 bits wide.
    """
    by_dtype = {dtype: name for name, dtype in _DTYPES.items() if name in names and bits_of(name) >= 8}

    def check(value: Any) -> Any:
        name = by_dtype.get(value) if isinstance(value, torch.dtype) else value
        name = name.lower() if isinstance(name, str) else name
        if name not in names:
            raise ValueError(f"allowed: {', '.join(names)}, and torch's types of these names")
        return name

    return BeforeValidator(check)


class TypeByName:
    """Shows a field of a configuration that holds the name of a type as torch's type, as coremltools does."""

    def __init__(self, field: str) -> None:
        self._field = field

    def __get__(self, config: Any, kind: type[Any]) -> torch.dtype | None:
        """Returns the type that holds such values; None where the field is None."""
        if config is None:
            raise AttributeError(self._field)  # pydantic looks here for a default
        name = name_of_type(config, self._field)
        return None if name is None else _DTYPES[name]

    def __set__(self, config: Any, value: Any) -> None:
        """Sets the name; without this a value in the instance would be found first."""
        vars(config)[self._field] = value


def name_of_type(config: Any, field: str) -> Any:
    """Returns the name that a field of types holds, which says how wide it is; or None."""
    return vars(config)[field]


def bits_of(name: str) -> int:
    """Returns the width of a type from its name."""
    return int(re.findall(r"\d+", name)[0])


def member_of(kind: type[Enum]) -> BeforeValidator:
    """Returns a check that a value is a member of an enumeration, or the name of one."""

    def check(value: Any) -> Any:
        try:
            return kind(value)
        except ValueError:
            raise ValueError(f"allowed: {', '.join(member.value for member in kind)}") from None

    return BeforeValidator(check)


def one_of(*values: Any) -> BeforeValidator:
    """Returns a check that a value is one of some."""

    def check(value: Any) -> Any:
        if value not in values or type(value) not in {type(allowed) for allowed in values}:
            raise ValueError(f"allowed: {', '.join(map(str, values))}")
        return value

    return BeforeValidator(check)


def or_else(**names: str) -> BeforeValidator:
    """Returns what makes other names of values those that they stand for; it goes behind the check."""
    return BeforeValidator(lambda value: names.get(value, value) if isinstance(value, str) else value)


def instead(name: str) -> BeforeValidator:
    """Returns a check that a field is not used: another one has taken its place."""

    def check(value: Any) -> None:
        if value is not None:
            raise ValueError(f"use {name}, which says the same")

    return BeforeValidator(check)


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else value


def _single_or_tuple(value: Any) -> Any:
    return (value,) if type(value) is int else _tuple(value)


Pair = Annotated[tuple[int, int], BeforeValidator(_tuple)]
Sizes = Annotated[tuple[int, ...], BeforeValidator(_single_or_tuple)]
Milestone4 = Annotated[tuple[int, int, int, int], BeforeValidator(_tuple)]
