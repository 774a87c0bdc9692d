"""Which points of a grid serve best as a look-up table."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mlpress.kernels._backend import native
from mlpress.kernels.reference import grid as reference

Float64 = NDArray[np.float64]


def choose_points(
    values: Float64, moments: Float64, points: Float64, halves: Float64, k: int
) -> tuple[NDArray[np.int32], float]:
    """Chooses the k points with the least squared error of the values, each at the nearest chosen point.

    The choice is the optimum when the halves are the exact midpoints; the caller may round the points a
    little after computing these (to what a number format can hold), at the price of an error that is a
    little too high.

    Args:
        values: float64 ``[m]``, ascending.
        moments: float64 ``[m + 1, 3]``: weight, weight * value and weight * value**2, summed over the values
            before each position.
        points: float64 ``[p]``, ascending.
        halves: float64 ``[2 p - 1]``, the points with the midpoint of each two neighbours between them. The
            spacing is even: the midpoint of points a and b is entry a + b.
        k: Number of points to choose, 1 to p.

    Returns:
        Their indices, int32 ``[k]`` ascending, and the error.

    Raises:
        ValueError: An argument is not as described.
    """
    if moments.shape != (values.size + 1, 3):
        raise ValueError(f"moments has shape {moments.shape}; ({values.size + 1}, 3) is expected")
    if not points.size or halves.shape != (2 * points.size - 1,):
        raise ValueError(
            f"there are {points.size} points and {halves.size} halves; p and 2 p - 1 are expected"
        )
    if not 1 <= k <= points.size:
        raise ValueError(f"k is {k}; allowed are 1 to {points.size}")
    values, moments = np.ascontiguousarray(values, np.float64), np.ascontiguousarray(moments, np.float64)
    points, halves = np.ascontiguousarray(points, np.float64), np.ascontiguousarray(halves, np.float64)
    if not (np.isfinite(points).all() and np.isfinite(halves).all()):
        raise ValueError("points and halves must be finite")
    if native is None:
        return reference.choose_points(values, moments, points, halves, k)
    chosen = np.empty(k, np.int32)
    error: float = native.choose_points(values, moments, points, halves, chosen)
    return chosen, error
