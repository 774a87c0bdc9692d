"""Linear quantization of rows: parameters, codes and back.

Rows are C-contiguous ``[B, n]`` float16 or float32; each row has a scale and a zero point of its own. Codes
are int8 where ``low`` is negative and uint8 otherwise. A row's value is ``scale * (code - zero_point)``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlpress.kernels._backend import native
from mlpress.kernels.reference import affine as reference
from mlpress.kernels.reference import affine_search as search
from mlpress.kernels.types import Codes, Floats


def symmetric_scales(rows: Floats, span: int) -> Floats:
    """Scales that map each row's largest magnitude to the end of a range centred on zero.

    Args:
        rows: float16 or float32 [B, n].
        span: Number of steps from the lowest to the highest code, 1 to 255.

    Returns:
        ``2 * max|row| / span`` [B] of the rows' type. Zero for a row of zeros, NaN or infinity for a row that
        holds such a value; never zero otherwise, even where the division underflows.

    Raises:
        ValueError: Wrong dtype, rank or span.
    """
    _check_rows(rows)
    _check_range(0, span)
    if native is None:
        return reference.symmetric_scales(rows, span)
    scale = np.empty(len(rows), rows.dtype)
    native.affine_symmetric_scales(_bits(rows), span, _bits(scale))
    return scale


def asymmetric_parameters(rows: Floats, low: int, high: int) -> tuple[Floats, NDArray[np.int32]]:
    """Scales and zero points that map each row's range, extended to hold zero, onto ``low..high``.

    Args:
        rows: float16 or float32 [B, n].
        low: Lowest code, -128 to 0.
        high: Highest code, above ``low`` and at most 255 above it.

    Returns:
        Scale [B] of the rows' type (as for ``symmetric_scales``) and zero point int32 [B] in ``low..high``.
        Both are computed in the rows' own type, a rounding a step; float64 replaces a step that overflows.

    Raises:
        ValueError: Wrong dtype, rank or range.
    """
    _check_rows(rows)
    _check_range(low, high)
    if native is None:
        return reference.asymmetric_parameters(rows, low, high)
    scale, zero_point = np.empty(len(rows), rows.dtype), np.empty(len(rows), np.int32)
    native.affine_asymmetric_parameters(_bits(rows), low, high, _bits(scale), zero_point)
    return scale, zero_point


def quantize(rows: Floats, scale: Floats, zero_point: NDArray[np.int32], low: int, high: int) -> Codes:
    """Codes whose quotients are rounded to the rows' type before they are rounded to integers, half to even.

    Args:
        rows: float16 or float32 [B, n].
        scale: [B] of the rows' type.
        zero_point: int32 [B] in ``low..high``.
        low: Lowest code.
        high: Highest code.

    Returns:
        int8 or uint8 [B, n]; the zero point where the scale is zero.

    Raises:
        ValueError: Wrong dtype, shape or range.
    """
    _check_parameters(rows, scale, zero_point, low, high)
    if native is None:
        return reference.quantize(rows, scale, zero_point, low, high).astype(_code_dtype(low))
    codes = np.empty(rows.shape, _code_dtype(low))
    native.affine_quantize(_bits(rows), _bits(scale), zero_point, low, high, codes.view(np.uint8))
    return codes


def quantize_nearest(
    rows: Floats, scale: Floats, zero_point: NDArray[np.int32], low: int, high: int
) -> Codes:
    """Codes of the values nearest to the rows: as ``quantize`` with the quotient in float32."""
    _check_parameters(rows, scale, zero_point, low, high)
    if native is None:
        return reference.quantize_nearest(rows, scale, zero_point, low, high).astype(_code_dtype(low))
    codes = np.empty(rows.shape, _code_dtype(low))
    native.affine_quantize_nearest(_bits(rows), _bits(scale), zero_point, low, high, codes.view(np.uint8))
    return codes


def search_symmetric(
    rows: Floats, scale: Floats, zero_point: NDArray[np.int32], low: int, high: int
) -> Floats:
    """Scales whose decoded values are closer to the rows, in squared error, for zero points that stay.

    Args:
        rows: float16 or float32 [B, n], finite.
        scale: [B] of the rows' type: where the search starts, by largest magnitude.
        zero_point: int32 [B] in ``low..high``.
        low: Lowest code.
        high: Highest code.

    Returns:
        Scale [B]; that of the start where nothing better is found.

    Raises:
        ValueError: Wrong dtype, shape or range.
    """
    _check_parameters(rows, scale, zero_point, low, high)
    found = scale.copy()
    if native is None:
        return search.symmetric(rows, found, zero_point, low, high)
    native.affine_search_symmetric(_bits(rows), low, high, _bits(found), zero_point)
    return found


def search_asymmetric(
    rows: Floats, scale: Floats, zero_point: NDArray[np.int32], low: int, high: int
) -> tuple[Floats, NDArray[np.int32]]:
    """Scales and zero points whose decoded values are closer to the rows, in squared error.

    Arguments as for ``search_symmetric``; the search starts from the parameters by smallest and largest
    value.
    """
    _check_parameters(rows, scale, zero_point, low, high)
    found, zeros = scale.copy(), zero_point.copy()
    if native is None:
        return search.asymmetric(rows, found, zeros, low, high)
    native.affine_search_asymmetric(_bits(rows), low, high, _bits(found), zeros)
    return found, zeros


def dequantize(data: Codes, scale: Floats, zero_point: NDArray[np.int32]) -> Floats:
    """``scale * (data - zero_point)``, a float32 product rounded to the type of the scale.

    Args:
        data: int8 or uint8 [B, n], C-contiguous.
        scale: float16 or float32 [B].
        zero_point: int32 [B].

    Returns:
        [B, n] of the type of ``scale``.

    Raises:
        ValueError: Wrong dtype or shape.
    """
    if data.ndim != 2 or data.dtype not in (np.int8, np.uint8) or not data.flags.c_contiguous:
        raise ValueError(f"codes are {data.dtype} {data.shape}; allowed: C-contiguous int8 or uint8 [B, n]")
    _check_vectors(len(data), scale, zero_point)
    if native is None:
        return reference.dequantize(data, scale, zero_point)
    rows = np.empty(data.shape, scale.dtype)
    native.affine_dequantize(data, _bits(scale), zero_point, _bits(rows))
    return rows


def _bits(array: NDArray[Any]) -> NDArray[Any]:
    return array.view(np.uint16 if array.dtype == np.float16 else np.uint32)


def _code_dtype(low: int) -> type[np.int8] | type[np.uint8]:
    return np.int8 if low < 0 else np.uint8


def _check_rows(rows: Floats) -> None:
    if rows.ndim != 2 or rows.dtype not in (np.float16, np.float32) or not rows.flags.c_contiguous:
        raise ValueError(
            f"rows are {rows.dtype} {rows.shape}; allowed: C-contiguous float16 or float32 [B, n]"
        )


def _check_range(low: int, high: int) -> None:
    if not (-128 <= low <= 0 < high <= (255 if low == 0 else 127)):
        raise ValueError(f"codes {low}..{high}; allowed: within -128..127 or 0..255, zero included")


def _check_vectors(count: int, scale: Floats, zero_point: NDArray[np.int32]) -> None:
    if scale.shape != (count,) or scale.dtype not in (np.float16, np.float32):
        raise ValueError(f"scale is {scale.dtype} {scale.shape}; allowed: float16 or float32 ({count},)")
    if zero_point.shape != (count,) or zero_point.dtype != np.int32:
        raise ValueError(f"zero point is {zero_point.dtype} {zero_point.shape}; allowed: int32 ({count},)")


def _check_parameters(
    rows: Floats, scale: Floats, zero_point: NDArray[np.int32], low: int, high: int
) -> None:
    _check_rows(rows)
    _check_range(low, high)
    _check_vectors(len(rows), scale, zero_point)
    if scale.dtype != rows.dtype:
        raise ValueError(f"scale is {scale.dtype}; allowed: the type of the rows, {rows.dtype}")
    if len(rows) and not (low <= zero_point.min() and zero_point.max() <= high):
        raise ValueError(f"zero points {zero_point.min()}..{zero_point.max()}; allowed: {low}..{high}")
