"""k-means on points: seeding, passes of Lloyd's algorithm, labels.

Points are C-contiguous float16 or float32 ``[n, dim]``. Kernels see them as ``(point - middle) * factor`` in
float32, and centroids ``[k, dim]`` live in that space. Distances are squared.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlpress.kernels._backend import native
from mlpress.kernels.reference import vectors as reference
from mlpress.kernels.types import Floats

Float32 = NDArray[np.float32]


def seed(
    points: Floats, weights: Float32 | None, middle: Float32, factor: float, draws: NDArray[np.float64]
) -> Float32:
    """Greedy k-means++: each centroid is the best of several points drawn by distance from those before.

    Args:
        points: [n, dim], n at least 1.
        weights: [n], or None for equal weights.
        middle: [dim].
        factor: Positive.
        draws: [k, trials] in 0..1.

    Returns:
        Centroids [k, dim].

    Raises:
        ValueError: Shapes or dtypes do not fit.
    """
    _check(points, weights, middle)
    if native is None:
        return reference.seed(points, weights, middle, factor, draws)
    table = np.empty((len(draws), points.shape[1]), np.float32)
    native.vectors_seed(_bits(points), _weights(weights), middle, factor, draws, table)
    return table


def lloyd(
    points: Floats,
    weights: Float32 | None,
    middle: Float32,
    factor: float,
    table: Float32,
    reach: float,
    passes: int,
    tolerance: float,
) -> tuple[Float32, NDArray[np.float64]]:
    """Lloyd's algorithm.

    A cluster's error is a square around the mean of its points, so it does not rise as long as ``reach`` is
    below 2; well above 1 it takes fewer passes. A centroid without points moves to the farthest point of the
    cluster with the largest error.

    Args:
        points: [n, dim].
        weights: [n], or None for equal weights.
        middle: [dim].
        factor: Positive.
        table: Centroids [k, dim] to start from, k at most 256.
        reach: How far centroids move, times the way to the mean of their points; above 0 and below 2.
        passes: How many at most.
        tolerance: Stops after a pass that lowers the error by less than this fraction of it.

    Returns:
        Centroids [k, dim], and each cluster's error [k] before they moved the last time.

    Raises:
        ValueError: Shapes or dtypes do not fit.
    """
    _check(points, weights, middle)
    if not 0 < reach < 2:
        raise ValueError(f"reach is {reach}; allowed: between 0 and 2")
    if native is None:
        return reference.lloyd(points, weights, middle, factor, table, reach, passes, tolerance)
    moved, errors = table.copy(), np.zeros(len(table), np.float64)
    native.vectors_lloyd(
        _bits(points), _weights(weights), middle, factor, moved, errors, reach, passes, tolerance
    )
    return moved, errors


def label(points: Floats, middle: Float32, factor: float, table: Float32) -> NDArray[np.uint8]:
    """Index of each point's nearest centroid [n]; the first of equally near ones.

    Raises:
        ValueError: Shapes or dtypes do not fit.
    """
    _check(points, None, middle)
    if native is None:
        return reference.nearest(points, middle, factor, table)[0].astype(np.uint8)
    labels = np.empty(len(points), np.uint8)
    native.vectors_label(_bits(points), middle, factor, table, labels)
    return labels


def _weights(weights: Float32 | None) -> Float32:
    return np.zeros(0, np.float32) if weights is None else weights


def _bits(array: NDArray[Any]) -> NDArray[Any]:
    return array.view(np.uint16 if array.dtype == np.float16 else np.uint32)


def _check(points: Floats, weights: Float32 | None, middle: Float32) -> None:
    if points.ndim != 2 or points.dtype not in (np.float16, np.float32) or not points.flags.c_contiguous:
        raise ValueError(
            f"points are {points.dtype} {points.shape}; allowed: C-contiguous float16 or float32 [n, dim]"
        )
    if weights is not None and (weights.shape != points.shape[:1] or weights.dtype != np.float32):
        raise ValueError(f"weights are {weights.dtype} {weights.shape}; allowed: float32 {points.shape[:1]}")
    if middle.shape != points.shape[1:] or middle.dtype != np.float32:
        raise ValueError(f"the middle is {middle.dtype} {middle.shape}; allowed: float32 {points.shape[1:]}")
