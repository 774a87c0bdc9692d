"""k-means on vectors, for look-up tables whose entries are several weights."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from mlpress.errors import NonFiniteWeightError
from mlpress.kernels import affine, masks
from mlpress.kernels import vectors as kernels
from mlpress.kernels.types import Floats

# Seeds are drawn from a sample of at least so many points, and so many a centroid; then samples grow.
_LEAST_SAMPLE = 2048
_SAMPLE_PER_CENTROID = 32
_GROWTH = 4
_LARGEST_SAMPLE = 8  # a larger part of the points takes memory that all of them do not
_PIECE = 1 << 15
_FRAMED = 512  # points whose median and spread stand for all
_FAR_PART = 16  # one farthest point is kept to so many points of the first sample
_STRETCH = 16
_TRIALS = 3
_STARTS = 3
# Lloyd's algorithm overshoots, which takes about half the passes.
_REACH = 1.8
# Below, coordinates are not brought to size: the factor would overflow. Above, differences from a mean could.
_LEAST_SPREAD = 1e-37
_LARGEST_CENTRED = 1e38
_SAMPLE_PASSES, _LAST_PASSES = 100, 12
_TOLERANCE = 5e-4


def kmeans_vectors(
    points: Floats,
    k: int,
    *,
    weights: NDArray[np.float32] | None = None,
    seed: int = 0,
    rounded_to: type[np.float16 | np.float32] | None = None,
    passes: int = _LAST_PASSES,
    tolerance: float = _TOLERANCE,
) -> tuple[Floats, NDArray[np.uint8]]:
    """Clusters points by greedy k-means++ and Lloyd's algorithm, on samples that grow up to all points.

    Every sample holds the points farthest from the middle, since one alone can be worth a centroid. The rest
    is drawn, and weighted so that it counts for all other points.

    Args:
        points: float16 or float32 [n, dim], C-contiguous.
        k: Number of centroids, 1 to 256.
        weights: float32 [n], none negative: how much each point's squared error counts. None means all the
            same.
        seed: Seed of the draws. The same seed gives the same result.
        rounded_to: Type of the centroids; that of the points if not given.
        passes: How often all points are gone through at most, but for a last time.
        tolerance: Passes end with one that lowers the error by less than this fraction of it.

    Returns:
        Centroids [k, dim], and labels uint8 [n], each the nearest of
        these. Where there are no more than k distinct points, they are the centroids, followed by zeros.

    Raises:
        NonFiniteWeightError: A point holds NaN or infinity.
        ValueError: Wrong dtype, shape or k.
    """
    if not 1 <= k <= 256:
        raise ValueError(f"k is {k}; allowed: 1 to 256")
    if points.ndim != 2 or points.shape[1] < 1:
        raise ValueError(f"points have shape {points.shape}; allowed: [n, dim], dim at least 1")
    bad = masks.count_non_finite(points.reshape(-1))
    if bad:
        raise NonFiniteWeightError(f"{bad} of {points.size} values are NaN or infinite")
    exact = _distinct(points, k)
    if exact is not None:
        return exact
    middle, factor, table = _centroids(points, k, weights, np.random.default_rng(seed), passes, tolerance)
    dtype = np.dtype(rounded_to or points.dtype)
    limits = np.finfo(dtype)
    unrounded = table.astype(np.float64) / factor + middle
    rounded: Floats = np.clip(unrounded, limits.min, limits.max).astype(dtype)
    seen = (rounded.astype(np.float32) - middle) * np.float32(factor)
    return rounded, kernels.label(points, middle, factor, seen)


def _centroids(
    points: Floats,
    k: int,
    weights: NDArray[np.float32] | None,
    rng: np.random.Generator,
    passes: int,
    tolerance: float,
) -> tuple[NDArray[np.float32], float, NDArray[np.float32]]:
    """The middle and the factor that the kernels work with, and the centroids that they see."""
    size = max(_LEAST_SAMPLE, _SAMPLE_PER_CENTROID * k)
    if len(points) < 2 * size:
        size = len(points)
    middle, factor = _frame(points, points[_spread(len(points), min(_FRAMED, len(points)), rng)])
    far = np.zeros(0, np.int64)
    if size < len(points):
        far = _farthest(points, weights, middle, factor, size // _FAR_PART)
    some, some_weights = _sample(points, weights, far, size, rng)
    # A start on the sample costs little beside passes over all points, so there are several.
    starts = _STARTS if size * _GROWTH <= len(points) else 1
    table, least = np.zeros((k, points.shape[1]), np.float32), np.inf
    for _ in range(starts):
        seeds = kernels.seed(some, some_weights, middle, factor, rng.random((k, _TRIALS)))
        found, errors = kernels.lloyd(
            some, some_weights, middle, factor, seeds, _REACH, _SAMPLE_PASSES, tolerance
        )
        if errors.sum() < least:
            table, least = found, errors.sum()
    size *= _GROWTH
    while size * _LARGEST_SAMPLE <= len(points):
        del some, some_weights
        some, some_weights = _sample(points, weights, far, size, rng)
        table, _ = kernels.lloyd(some, some_weights, middle, factor, table, _REACH, _SAMPLE_PASSES, tolerance)
        size *= _GROWTH
    table, _ = kernels.lloyd(points, weights, middle, factor, table, _REACH, passes, tolerance)
    table, _ = kernels.lloyd(points, weights, middle, factor, table, 1, 1, 0)
    return middle, factor, table


def _frame(points: Floats, some: Floats) -> tuple[NDArray[np.float32], float]:
    """A middle and a factor that bring some points to a size of about 1 and let no square of any overflow."""
    peak = float(affine.symmetric_scales(points.reshape(1, -1), 2)[0])
    wide = some.astype(np.float32)
    # Medians: a point far away would carry means off and cost the others their last bits.
    middle = np.median(wide, axis=0) if peak < _LARGEST_CENTRED else np.zeros(points.shape[1], np.float32)
    distances = np.abs(wide - middle)
    spread = max(float(np.median(distances)) or float(distances.max()), peak * 1e-15)
    return middle, 1 / spread if spread > _LEAST_SPREAD else 1.0


def _farthest(
    points: Floats,
    weights: NDArray[np.float32] | None,
    middle: NDArray[np.float32],
    factor: float,
    count: int,
) -> NDArray[np.int64]:
    """The ``count`` points, below n / 16, of the largest weighted distances from the middle; in order."""

    def distances(part: slice) -> NDArray[np.float32]:
        found = np.zeros(part.stop - part.start, np.float32)
        for column, centre in zip(points[part].T, middle, strict=True):
            found += np.square((column.astype(np.float32) - centre) * np.float32(factor))
        return found if weights is None else found * weights[part]

    # A cheap bound: the farthest points of that many stretches are that many points. Distances are computed
    # twice: all together may take as much memory as the points.
    whole = len(points) // _STRETCH * _STRETCH
    peaks = [distances(part).reshape(-1, _STRETCH).max(axis=1) for part in _pieces(whole)]
    least = np.partition(np.concatenate(peaks), -count)[-count]
    candidates, found = [], []
    for part in _pieces(len(points)):
        some = distances(part)
        above = np.flatnonzero(some >= least)
        candidates.append(above + part.start)
        found.append(some[above])
    return np.sort(np.concatenate(candidates)[np.argpartition(np.concatenate(found), -count)[-count:]])


def _sample(
    points: Floats,
    weights: NDArray[np.float32] | None,
    far: NDArray[np.int64],
    size: int,
    rng: np.random.Generator,
) -> tuple[Floats, NDArray[np.float32] | None]:
    """The far points, about ``size`` of the others, and weights that make these count for all others."""
    if len(points) <= size:
        return points, weights
    some = np.empty((len(far) + size, points.shape[1]), points.dtype)
    mass = np.ones(len(some), np.float32)
    some[: len(far)] = points[far]
    if weights is not None:
        mass[: len(far)] = weights[far]
    end = len(far)
    for part in _pieces(size):
        others = _stretches(len(points), size, part, rng)
        others = others[far[np.searchsorted(far[:-1], others)] != others]
        some[end : end + len(others)] = points.take(others, axis=0)
        if weights is not None:
            mass[end : end + len(others)] = weights[others]
        end += len(others)
    mass[: len(far)] *= (end - len(far)) / (len(points) - len(far))
    return some[:end], mass[:end]


def _spread(count: int, size: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Positions spread evenly, one drawn from each of ``size`` stretches."""
    return _stretches(count, size, slice(0, size), rng)


def _stretches(count: int, size: int, part: slice, rng: np.random.Generator) -> NDArray[np.int64]:
    """The positions of some of the stretches."""
    drawn = rng.random(part.stop - part.start)
    positions: NDArray[np.float64] = (np.arange(part.start, part.stop) + drawn) * (count / size)
    return positions.astype(np.int64)


def _pieces(count: int) -> Iterator[slice]:
    """Ranges for what takes several numbers for each point."""
    for start in range(0, count, _PIECE):
        yield slice(start, min(start + _PIECE, count))


def _distinct(points: Floats, k: int) -> tuple[Floats, NDArray[np.uint8]] | None:
    """The answer where there are at most k distinct points, else None."""
    head = points[: 16 * k].astype(np.float64) @ np.sqrt(np.arange(2, points.shape[1] + 2))
    if len(np.unique(head)) > k:  # different sums come from different points
        return None
    positive = points + points.dtype.type(0)  # -0 and +0 are one value
    distinct, labels = np.unique(positive, axis=0, return_inverse=True)
    if len(distinct) > k:
        return None
    table = np.zeros((k, points.shape[1]), points.dtype)
    table[: len(distinct)] = distinct
    return table, labels.reshape(-1).astype(np.uint8)
