"""NumPy twins of the kernels in ``mlpress.kernels.vectors``."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlpress.kernels.types import Floats

Float32 = NDArray[np.float32]
_PRODUCTS_AT_ONCE = 1 << 22


def nearest(
    points: Floats, middle: Float32, factor: float, table: Float32
) -> tuple[NDArray[np.intp], Float32]:
    """Index of the nearest centroid and squared distance from it, for every point."""
    labels, distances = np.empty(len(points), np.intp), np.empty(len(points), np.float32)
    halves = (np.square(table, dtype=np.float64).sum(axis=1) / 2).astype(np.float32)
    step = max(1, _PRODUCTS_AT_ONCE // len(table))
    for start in range(0, len(points), step):
        some = _seen(points[start : start + step], middle, factor)
        score = np.repeat(-halves[None], len(some), axis=0)
        for j in range(some.shape[1]):
            score += some[:, j : j + 1] * table[None, :, j]
        labels[start : start + step] = score.argmax(axis=1)
        distance = np.square(some).sum(axis=1) - 2 * score.max(axis=1)
        distances[start : start + step] = np.maximum(distance, 0)
    return labels, distances


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
    """Lloyd's algorithm."""
    table, errors, before = table.copy(), np.zeros(len(table)), np.inf
    for _ in range(passes):
        labels, distances = nearest(points, middle, factor, table)
        if weights is not None:
            distances = distances * weights
        errors = np.bincount(labels, distances, len(table)).astype(np.float64)
        _move(_seen(points, middle, factor), weights, table, reach, labels, distances)
        total = errors.sum()
        if before - total <= tolerance * total:
            break
        before = total
    return table, errors


def _move(
    seen: Float32,
    weights: Float32 | None,
    table: Float32,
    reach: float,
    labels: NDArray[np.intp],
    distances: Float32,
) -> None:
    mass = np.bincount(labels, weights, len(table))
    filled = mass > 0
    for j, column in enumerate(seen.T):
        sums = np.bincount(labels, column if weights is None else column * weights, len(table))
        table[filled, j] += np.float32(reach) * (
            (sums[filled] / mass[filled]).astype(np.float32) - table[filled, j]
        )
    left = np.bincount(labels, distances, len(table))
    for empty in np.flatnonzero(~filled):
        worst = left.argmax()
        if left[worst] <= 0:
            return
        members = np.flatnonzero(labels == worst)
        table[empty] = seen[members[distances[members].argmax()]]
        left[worst] = 0


def seed(
    points: Floats, weights: Float32 | None, middle: Float32, factor: float, draws: NDArray[np.float64]
) -> Float32:
    """Greedy k-means++."""
    seen = _seen(points, middle, factor)
    mass = np.ones(len(points), np.float32) if weights is None else weights
    chances, left = mass, np.full(len(points), np.inf, np.float32)
    table = np.empty((len(draws), points.shape[1]), np.float32)
    for c, row in enumerate(draws):
        sums = np.cumsum(chances, dtype=np.float64)
        chosen = np.minimum(np.searchsorted(sums, row * sums[-1], side="right"), len(points) - 1)
        squares = np.square(seen[None] - seen[chosen][:, None]).sum(axis=2) * mass
        lowered = np.minimum(left, squares)
        best = lowered.sum(axis=1, dtype=np.float64).argmin()
        table[c], left = seen[chosen[best]], lowered[best]
        chances = left
    return table


def _seen(points: Floats, middle: Float32, factor: float) -> Any:
    return (points.astype(np.float32) - middle) * np.float32(factor)
