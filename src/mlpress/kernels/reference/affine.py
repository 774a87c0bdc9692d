"""NumPy twins of the kernels in ``mlpress.kernels.affine``."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlpress.kernels.types import Codes, Floats

Zeros = NDArray[np.int32]


def tiniest(dtype: np.dtype[Any]) -> np.floating[Any]:
    """The smallest positive number of a float type."""
    smallest: np.floating[Any] = np.finfo(dtype).smallest_subnormal
    return smallest


def symmetric_scales(rows: Floats, span: int) -> Floats:
    """Twice the largest magnitude of each row over ``span``, rounded once to the rows' type."""
    wide = np.float32 if rows.dtype == np.float16 else np.float64
    peak = np.abs(rows).max(axis=1, initial=0).astype(wide)
    scale = (2 * peak / wide(span)).astype(rows.dtype)
    return np.where((scale == 0) & (peak > 0), tiniest(rows.dtype), scale)


def asymmetric_parameters(rows: Floats, low: int, high: int) -> tuple[Floats, Zeros]:
    """Scale and zero point that map each row's range, zero included, onto low..high.

    Every step is rounded to the rows' type; where one of them overflows, float64 takes over.
    """
    dtype = rows.dtype
    bottom, top = rows.min(axis=1, initial=0), rows.max(axis=1, initial=0)
    wide_bottom, wide_top = bottom.astype(np.float64), top.astype(np.float64)
    wide_extent = wide_top - wide_bottom
    with np.errstate(all="ignore"):
        extent = top - bottom
        scale = extent / dtype.type(high - low)
        zero = (dtype.type(low) * top - dtype.type(high) * bottom) / extent
        wide_zero = (low * wide_top - high * wide_bottom) / wide_extent
    scale = np.where(np.isfinite(extent), scale, (wide_extent / (high - low)).astype(dtype))
    scale = np.where((scale == 0) & (wide_extent > 0), tiniest(dtype), scale)
    chosen = np.where(np.isfinite(zero), zero, wide_zero)
    return scale, np.clip(np.rint(np.nan_to_num(chosen)), low, high).astype(np.int32)


def quantize(rows: Floats, scale: Floats, zero_point: Zeros, low: int, high: int) -> Zeros:
    """Codes of ``rows``: the quotient is rounded to the rows' type first, then to an integer."""
    with np.errstate(all="ignore"):
        quotient = rows / scale[:, None]
    return _codes(quotient.astype(np.float32), scale, zero_point, low, high)


def quantize_nearest(rows: Floats, scale: Floats, zero_point: Zeros, low: int, high: int) -> Zeros:
    """Codes whose decoded values are nearest to ``rows``."""
    factor = scale.astype(np.float32)[:, None]
    with np.errstate(all="ignore"):
        quotient = rows.astype(np.float32) / factor
    zero = zero_point[:, None]
    codes = _codes(quotient, scale, zero_point, low, high) - zero
    steps, _ = nearest_code(rows, codes.astype(np.float32), factor, low - zero, high - zero)
    return steps.astype(np.int32) + zero


def nearest_code(
    rows: Floats, code: NDArray[np.float32], scale: NDArray[np.float32], low: Any, high: Any
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The better of ``code`` and its neighbour on the other side of the row, and its error when decoded.

    Rounding the decoded value to the rows' type can make a neighbour of the nearest integer the better code.
    """
    wide = rows.astype(np.float32)

    def error_of(some: NDArray[np.float32]) -> NDArray[np.float32]:
        with np.errstate(over="ignore"):
            error: NDArray[np.float32] = wide - (some * scale).astype(rows.dtype).astype(np.float32)
        return error

    error = error_of(code)
    neighbour = np.clip(
        code + np.where(error < 0, np.float32(-1), np.float32(1)), low, high, dtype=np.float32
    )
    other = error_of(neighbour)
    with np.errstate(over="ignore"):
        better = np.square(other) < np.square(error)
    return np.where(better, neighbour, code), np.where(better, other, error)


def _codes(quotient: NDArray[np.float32], scale: Floats, zero_point: Zeros, low: int, high: int) -> Zeros:
    zero = zero_point[:, None]
    steps = np.where(scale[:, None] == 0, np.float32(0), np.rint(quotient))
    return np.clip(steps, low - zero, high - zero).astype(np.int32) + zero


def dequantize(data: Codes, scale: Floats, zero_point: Zeros) -> Floats:
    """``scale * (data - zero_point)`` in float32, rounded to the type of the scale."""
    steps = (data.astype(np.int32) - zero_point[:, None]).astype(np.float32)
    with np.errstate(over="ignore"):
        return (steps * scale.astype(np.float32)[:, None]).astype(scale.dtype)
