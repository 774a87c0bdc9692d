"""Element types of Core ML tensors, those narrower than a byte included."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import ml_dtypes
import numpy as np

Kind = Literal["float", "int", "uint", "bool"]


@dataclass(frozen=True, slots=True)
class DType:
    """An element type.

    Attributes:
        name: The usual name, such as ``"float16"`` or ``"uint4"``.
        bits: Bits that one element takes in a file.
        kind: Whether elements are floats, signed or unsigned integers, or booleans.
        storage: NumPy dtype of one unpacked element; ``int8``/``uint8`` for types below a byte.
    """

    name: str
    bits: int
    kind: Kind
    storage: np.dtype[np.generic]

    @property
    def is_float(self) -> bool:
        return self.kind == "float"

    @property
    def is_integer(self) -> bool:
        return self.kind in ("int", "uint")

    @property
    def is_packed(self) -> bool:
        """Whether elements share bytes in a file."""
        return self.bits < 8

    @property
    def low(self) -> int:
        """Smallest value of an integer type."""
        self._require_integer()
        return -(1 << (self.bits - 1)) if self.kind == "int" else 0

    @property
    def high(self) -> int:
        """Largest value of an integer type."""
        self._require_integer()
        return (1 << (self.bits - (self.kind == "int"))) - 1

    def nbytes(self, count: int) -> int:
        """Bytes that `count` elements take in a file."""
        return (count * self.bits + 7) // 8

    def _require_integer(self) -> None:
        if not self.is_integer:
            raise TypeError(f"{self.name} has no integer range")

    def __repr__(self) -> str:
        return self.name


def _dtype(name: str, bits: int, kind: Kind, storage: object) -> DType:
    return DType(name, bits, kind, np.dtype(storage))  # type: ignore[call-overload]


BOOL: Final = _dtype("bool", 8, "bool", np.bool_)
FLOAT16: Final = _dtype("float16", 16, "float", np.float16)
FLOAT32: Final = _dtype("float32", 32, "float", np.float32)
FLOAT64: Final = _dtype("float64", 64, "float", np.float64)
BFLOAT16: Final = _dtype("bfloat16", 16, "float", ml_dtypes.bfloat16)
FLOAT8_E4M3FN: Final = _dtype("float8_e4m3fn", 8, "float", ml_dtypes.float8_e4m3fn)
FLOAT8_E5M2: Final = _dtype("float8_e5m2", 8, "float", ml_dtypes.float8_e5m2)
INT4: Final = _dtype("int4", 4, "int", np.int8)
INT8: Final = _dtype("int8", 8, "int", np.int8)
INT16: Final = _dtype("int16", 16, "int", np.int16)
INT32: Final = _dtype("int32", 32, "int", np.int32)
INT64: Final = _dtype("int64", 64, "int", np.int64)
UINT1: Final = _dtype("uint1", 1, "uint", np.uint8)
UINT2: Final = _dtype("uint2", 2, "uint", np.uint8)
UINT3: Final = _dtype("uint3", 3, "uint", np.uint8)
UINT4: Final = _dtype("uint4", 4, "uint", np.uint8)
UINT6: Final = _dtype("uint6", 6, "uint", np.uint8)
UINT8: Final = _dtype("uint8", 8, "uint", np.uint8)
UINT16: Final = _dtype("uint16", 16, "uint", np.uint16)
UINT32: Final = _dtype("uint32", 32, "uint", np.uint32)
UINT64: Final = _dtype("uint64", 64, "uint", np.uint64)

ALL_DTYPES: Final = (
    BOOL, FLOAT16, FLOAT32, FLOAT64, BFLOAT16, FLOAT8_E4M3FN, FLOAT8_E5M2,
    INT4, INT8, INT16, INT32, INT64,
    UINT1, UINT2, UINT3, UINT4, UINT6, UINT8, UINT16, UINT32, UINT64,
)  # fmt: skip

_BY_NAME: Final = {dtype.name: dtype for dtype in ALL_DTYPES}
_BY_STORAGE: Final = {dtype.storage: dtype for dtype in ALL_DTYPES if not dtype.is_packed}


def dtype_named(name: str) -> DType:
    """Returns the element type called `name`.

    Raises:
        ValueError: No element type has that name.
    """
    try:
        return _BY_NAME[name]
    except KeyError:
        raise ValueError(f"unknown element type {name!r}; known: {', '.join(_BY_NAME)}") from None


def dtype_of(array: np.ndarray) -> DType:
    """Returns the element type that stores `array`'s elements one to one (never one below a byte).

    Raises:
        ValueError: Core ML has no such element type (complex numbers, objects, ...).
    """
    try:
        return _BY_STORAGE[array.dtype.newbyteorder("=")]
    except KeyError:
        allowed = ", ".join(str(storage) for storage in _BY_STORAGE)
        raise ValueError(f"arrays of {array.dtype} cannot be stored; allowed: {allowed}") from None


def unsigned(bits: int) -> DType:
    """Returns the unsigned integer type of `bits` bits: 1, 2, 3, 4, 6, 8, 16, 32 or 64."""
    return dtype_named(f"uint{bits}")
