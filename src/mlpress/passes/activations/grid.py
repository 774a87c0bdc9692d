"""The integers that stand for the numbers of a range."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mlpress.bits import INT8, UINT8, DType
from mlpress.passes.activations.ranges import Range
from mlpress.recipe import Quantize


@dataclass(frozen=True, slots=True)
class Grid:
    """``scale * (integer - zero_point)`` for the integers of a type.

    Attributes:
        dtype: int8 or uint8.
        scale: Above 0; a number that the element type of the value can hold.
        zero_point: The integer that stands for 0.
    """

    dtype: DType
    scale: float
    zero_point: int


def grid_of(between: Range, stage: Quantize, element: DType) -> Grid:
    """Returns the grid of a value.

    The symmetric mode spreads the integers over the greatest magnitude on both sides of zero, ``linear`` over
    the range with 0 in it. A zero point of -128 (int8) or 128 (uint8) is 0 in the other type, which takes no
    subtraction.

    Args:
        between: What the value lies between.
        stage: Its `dtype` and `mode`.
        element: Element type of the value, and so of the scale: float16 or float32.
    """
    steps = stage.high - stage.low
    if stage.mode == "linear_symmetric":
        width = 2 * max(abs(between.low), abs(between.high))
        zero_point = stage.middle
    else:
        low, high = min(between.low, 0.0), max(between.high, 0.0)
        width = high - low
        zero_point = _nearest((stage.low * high - stage.high * low) / width, stage) if width else stage.low
    dtype = UINT8 if stage.dtype == "uint8" else INT8
    if (dtype, zero_point) == (INT8, -128):
        dtype, zero_point = UINT8, 0
    elif (dtype, zero_point) == (UINT8, 128):
        dtype, zero_point = INT8, 0
    return Grid(dtype, _storable(width / steps, element), zero_point)


def _nearest(level: float, stage: Quantize) -> int:
    return int(np.clip(np.rint(level), stage.low, stage.high))


def _storable(scale: float, element: DType) -> float:
    """Returns `scale` rounded to `element`; 1 for 0, and what would round to 0 or infinity stays within."""
    if scale == 0:
        return 1.0
    storage: Any = element.storage
    limits = np.finfo(storage)
    within = np.clip(scale, float(limits.smallest_subnormal), float(limits.max))
    return float(within.astype(storage))
