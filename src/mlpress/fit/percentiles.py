"""Percentiles with NumPy's linear interpolation, each step in the type of the values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

# The values at a rank of the ascending order and at the next one.
Pair: TypeAlias = Callable[[int], tuple["np.floating[Any]", "np.floating[Any]"]]


def percentile(count: int, fraction: float, pair: Pair) -> float:
    """The value that a fraction of all values does not exceed, to compare magnitudes with.

    Args:
        count: How many values there are.
        fraction: 0 to 1.
        pair: Looks two neighbours up by the rank of the lower one; after the last value it is repeated.

    Returns:
        0 for the fraction 0 or no values, infinity for 1, else ``numpy.percentile`` of NumPy 2.4 or later.
    """
    percent = fraction * 100
    if percent == 0 or count == 0:
        return 0.0
    if percent == 100:
        return float("inf")
    position = (count - 1) * (percent / 100)
    rank = int(position)
    low, high = pair(rank)
    return _interpolate(low, high, position - rank)


def _interpolate(low: np.floating[Any], high: np.floating[Any], part: float) -> float:
    kind = type(low)
    step = kind(high - low)
    # From the middle on NumPy goes back from the upper value, so that the result is monotonic.
    if part >= 0.5:
        return float(kind(high - kind(step * kind(1 - part))))
    return float(kind(low + kind(step * kind(part))))
