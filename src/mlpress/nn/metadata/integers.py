"""The integers that a quantized parameter, or table, was decoded from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mlpress.bits import INT4, INT8, UINT4, UINT8, DType
from mlpress.encoding import spread
from mlpress.errors import EncodingError

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Integers:
    """Integers and what stands for zero.

    Attributes:
        codes: Of the storage type of `dtype`.
        dtype: (u)int4 or (u)int8.
        zero_point: Of the shape of the scale, or None where all are 0.
    """

    codes: Array
    dtype: DType
    zero_point: Array | None


def find_integers(values: Array, scale: Array, zero_point: Array | None, bits: int) -> Integers:
    """Returns ``round(values / scale) + zero_point``.

    Args:
        values: Floats.
        scale: Floats of the same rank; each size divides that of the values.
        zero_point: Of fewer or as many axes, integers or whole floats. Of type int8 or uint8 it also says
            whether the integers are signed. Otherwise they are, unless that does not fit.
        bits: 1 to 8; up to 4 are stored as 4.

    Raises:
        EncodingError: Shapes do not fit, or a zero point is outside the range of the integers.
    """
    wide = spread(scale, values.shape).astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        codes = np.rint(np.where(wide == 0, 0, values / wide)).astype(np.int64)
    zero = None
    if zero_point is not None:
        zero = np.rint(np.broadcast_to(of_rank(zero_point, scale.ndim, "zero_point"), scale.shape))
        zero = zero.astype(np.int64)
        codes += spread(zero, values.shape)
    dtype = _dtype(codes, zero_point, bits)
    if zero is not None and zero.size and not dtype.low <= zero.min() <= zero.max() <= dtype.high:
        raise EncodingError(f"zero points {zero.min()}..{zero.max()} do not fit {dtype}")
    return Integers(
        codes.clip(dtype.low, dtype.high).astype(dtype.storage),
        dtype,
        zero.astype(dtype.storage) if zero is not None and zero.any() else None,
    )


def _dtype(codes: Array, zero_point: Array | None, bits: int) -> DType:
    if zero_point is not None and zero_point.dtype in (np.int8, np.uint8):
        is_unsigned = zero_point.dtype == np.uint8
    else:
        lowest = min(codes.min(initial=0), 0 if zero_point is None else zero_point.min(initial=0))
        has_zeros = zero_point is not None and bool(zero_point.any())
        overflows = codes.max(initial=0) >= 1 << (bits - 1)
        is_unsigned = bool(lowest >= 0 and (has_zeros or overflows))
    if bits <= 4:
        return UINT4 if is_unsigned else INT4
    return UINT8 if is_unsigned else INT8


def of_rank(array: Array, rank: int, name: str) -> Array:
    """Appends axes of size 1: coremltools gives convolutions scales of rank 2.

    Raises:
        EncodingError: There are too many axes.
    """
    if array.ndim > rank:
        raise EncodingError(f"{name} has shape {array.shape}; allowed: {rank} axes at most")
    return array.reshape(*array.shape, *(1,) * (rank - array.ndim))
