"""Linear quantization of rows: one scale, and possibly one zero point, a row.

A row is one block of the weight, flattened: a channel, a block of 32 inputs, the whole tensor. The value of
a code is ``scale * (code - zero_point)``, computed in float32 and rounded to the weight's type (Core ML
constexpr_blockwise_shift_scale).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from mlpress.errors import NonFiniteWeightError
from mlpress.kernels import affine as kernels
from mlpress.kernels.types import Codes, Floats


@dataclass(frozen=True, slots=True, eq=False)
class AffineParameters:
    """Scale and zero point of each row.

    Attributes:
        scale: float16 or float32 [B], none negative. Zero marks a row of zeros.
        zero_point: int8 or uint8 [B], the code that stands for zero; None means 0 for every row.
    """

    scale: Floats
    zero_point: Codes | None

    def __post_init__(self) -> None:
        if self.scale.ndim != 1:
            raise ValueError(f"scale has shape {self.scale.shape}; allowed: one value a row")
        if self.zero_point is not None and self.zero_point.shape != self.scale.shape:
            raise ValueError(f"zero point has shape {self.zero_point.shape}; allowed: {self.scale.shape}")


def symmetric_parameters(rows: Floats, low: int, high: int, offset: int) -> AffineParameters:
    """Scales by largest magnitude, equal to coremltools' LINEAR_SYMMETRIC bit for bit.

    Args:
        rows: float16 or float32 [B, n], C-contiguous.
        low: Lowest code: -127 for int8, -7 for int4, 0 for unsigned types.
        high: Highest code: 127, 7; 254 for uint8, 14 for uint4.
        offset: Zero point of every row: 0 for signed codes, 127 for uint8, 7 for uint4.

    Returns:
        ``scale = 2 * max|row| / (high - low)`` in the rows' type. Where coremltools overflows (magnitudes
        above 32752 in float16) or underflows to zero, the scale is right instead. A row of zeros has scale 0,
        as there.

    Raises:
        NonFiniteWeightError: The rows hold NaN or infinity.
        ValueError: Wrong dtype, rank or range.
    """
    scale = kernels.symmetric_scales(rows, high - low)
    _require_finite(rows, scale)
    return AffineParameters(scale, _constant_zero_point(len(rows), low, offset))


def asymmetric_parameters(rows: Floats, low: int, high: int) -> AffineParameters:
    """Scales and zero points by smallest and largest value, equal to coremltools' LINEAR bit for bit.

    Args:
        rows: float16 or float32 [B, n], C-contiguous.
        low: Lowest code: -128 for int8, -8 for int4, 0 for unsigned types.
        high: Highest code: 127, 7, 255 for uint8, 15 for uint4.

    Returns:
        ``scale = (hi - lo) / (high - low)`` and ``zero_point = round((low * hi - high * lo) / (hi - lo))``,
        where ``lo = min(0, row)`` and ``hi = max(0, row)``, each step rounded to the rows' type. coremltools'
        float16 arithmetic overflows from magnitudes of about 257 on; such steps are computed in float64 here.

    Raises:
        NonFiniteWeightError: The rows hold NaN or infinity.
        ValueError: Wrong dtype, rank or range.
    """
    scale, zero_point = kernels.asymmetric_parameters(rows, low, high)
    _require_finite(rows, scale)
    return AffineParameters(scale, zero_point.astype(_code_dtype(low)))


def search_symmetric(rows: Floats, low: int, high: int, offset: int) -> AffineParameters:
    """Scales of least squared error of the decoded values, found by search from those by largest magnitude.

    Sixteen candidates a round, each with the scale that fits its codes by least squares; the last round
    measures decoded values. Never worse than ``symmetric_parameters`` for any row. Use with
    ``quantize_rows_nearest``; arguments, result and errors as for ``symmetric_parameters``.
    """
    start = symmetric_parameters(rows, low, high, offset)
    scale = kernels.search_symmetric(rows, start.scale, _zeros(start), low, high)
    return AffineParameters(scale, start.zero_point)


def search_asymmetric(rows: Floats, low: int, high: int) -> AffineParameters:
    """Scales and zero points of least squared error, found by search from those by range.

    The search moves both ends of the range. Never worse than ``asymmetric_parameters`` for any row. Use with
    ``quantize_rows_nearest``; arguments, result and errors as for ``asymmetric_parameters``.
    """
    start = asymmetric_parameters(rows, low, high)
    scale, zero_point = kernels.search_asymmetric(rows, start.scale, _zeros(start), low, high)
    return AffineParameters(scale, zero_point.astype(_code_dtype(low)))


def quantize_rows(rows: Floats, parameters: AffineParameters, low: int, high: int) -> Codes:
    """Codes of ``rows`` as coremltools computes them: the quotient is rounded to the weight's type first.

    Args:
        rows: float16 or float32 [B, n], C-contiguous and finite.
        parameters: Scale and zero point of each row.
        low: Lowest code.
        high: Highest code.

    Returns:
        int8 (``low`` < 0) or uint8 [B, n]: ``clip(round(row / scale) + zero_point, low, high)``, half to
        even.

    Raises:
        ValueError: Shapes, dtypes or zero points do not fit.
    """
    return kernels.quantize(rows, parameters.scale, _zeros(parameters), low, high)


def quantize_rows_nearest(rows: Floats, parameters: AffineParameters, low: int, high: int) -> Codes:
    """Codes of the decoded values nearest to ``rows``; arguments and result as for ``quantize_rows``."""
    return kernels.quantize_nearest(rows, parameters.scale, _zeros(parameters), low, high)


def _zeros(parameters: AffineParameters) -> np.ndarray[tuple[int, ...], np.dtype[np.int32]]:
    if parameters.zero_point is None:
        return np.zeros(parameters.scale.shape, np.int32)
    return parameters.zero_point.astype(np.int32)


def _constant_zero_point(count: int, low: int, offset: int) -> Codes | None:
    return None if offset == 0 else np.full(count, offset, _code_dtype(low))


def _code_dtype(low: int) -> type[np.int8] | type[np.uint8]:
    return np.int8 if low < 0 else np.uint8


def largest(scale: Floats) -> float:
    """The largest of scales, none of them negative; NaN if there is one, 0 if there are none."""
    # Bits are ordered as values are, NaN last, and NumPy is many times faster at integers than at float16.
    bits = scale.view(f"u{scale.itemsize}").max(initial=0)
    return float(bits.view(scale.dtype))


def _require_finite(rows: Floats, scale: Floats) -> None:
    if not math.isfinite(largest(scale)):
        bad = rows.size - np.count_nonzero(np.isfinite(rows))
        raise NonFiniteWeightError(f"{bad} of {rows.size} values are NaN or infinite")
