"""NumPy twin of the grid kernel. Arguments were checked by ``mlpress.kernels.grid``."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]


def _error_about(point: Any, before: Float64, after: Float64) -> Float64:
    """Squared error, about a point, of the values between two positions given by their moments [..., 3]."""
    mass, first, second = np.moveaxis(after - before, -1, 0)
    error: Float64 = second - point * (2 * first - point * mass)
    return error


def choose_points(
    values: Float64, moments: Float64, points: Float64, halves: Float64, k: int
) -> tuple[NDArray[np.int32], float]:
    """See `mlpress.kernels.choose_points`: a dynamic program over all pairs of neighbours in the table."""
    sums = moments[np.searchsorted(values, halves, side="right")]
    at_points, total = sums[::2], moments[-1]
    size = points.size
    if k == size:
        middles = sums[1::2]
        left = _error_about(points[:-1], at_points[:-1], middles).sum()
        right = _error_about(points[1:], middles, at_points[1:]).sum()
        ends = _error_about(points[0], np.zeros(3), at_points[0]) + _error_about(
            points[-1], at_points[-1], total
        )
        return np.arange(k, dtype=np.int32), float(left + right + ends)
    low, high = np.arange(size)[:, None], np.arange(size)
    middle = sums[np.minimum(low + high, 2 * size - 2)]
    between = _error_about(points[:, None], at_points[:, None], middle)
    between += _error_about(points, middle, at_points)
    between[low >= high] = np.inf
    best = _error_about(points, np.zeros(3), at_points)
    parents = np.zeros((k, size), np.int32)
    for layer in range(1, k):
        costs = best[:, None] + between
        parents[layer] = costs.argmin(axis=0)
        best = costs[parents[layer], high]
    best = best + _error_about(points, at_points, total)
    chosen = np.empty(k, np.int32)
    chosen[-1] = best.argmin()
    for layer in range(k - 1, 0, -1):
        chosen[layer - 1] = parents[layer, chosen[layer]]
    return chosen, float(best.min())
