"""NumPy twins of the k-means kernels: a dynamic program over distinct values, exact and plain.

Arguments were checked by ``mlpress.kernels.kmeans``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]


# Long rows of floats with many distinct values are merged into bins of this many bits of the fraction.
_MIN_COUNT_TO_MERGE = 1 << 20
_MIN_BINS_TO_MERGE = 16384
_DROPPED_BITS = 10


def distinct_values(row: NDArray[Any], weights: NDArray[np.float32] | None) -> tuple[Float64, Float64]:
    """See `mlpress.kernels.distinct_values`."""
    if row.dtype == np.float32 and row.size >= _MIN_COUNT_TO_MERGE:
        bins = (row + np.float32(0)).view(np.uint32) >> _DROPPED_BITS
        _, inverse = np.unique(bins, return_inverse=True)
        masses = np.bincount(inverse, weights).astype(np.float64)
        firsts = np.bincount(inverse, row if weights is None else row * weights.astype(np.float64))
        values, masses = firsts[masses > 0] / masses[masses > 0], masses[masses > 0]
        if values.size >= _MIN_BINS_TO_MERGE:
            order = np.argsort(values)
            return values[order], masses[order]
    values, inverse, counts = np.unique(row.astype(np.float64) + 0.0, return_inverse=True, return_counts=True)
    if weights is None:
        return values, counts.astype(np.float64)
    masses = np.bincount(inverse.reshape(-1), weights, minlength=values.size).astype(np.float64)
    if row.size and not masses.any():
        return values, counts.astype(np.float64)
    return values[masses > 0], masses[masses > 0]


class _Intervals:
    """Costs and centroids of intervals of sorted weighted values, from moments about the median."""

    def __init__(self, values: Float64, weights: Float64, *, on_integers: bool) -> None:
        total = np.cumsum(weights)
        middle = int(np.searchsorted(total, total[-1] / 2))
        self._values = values
        self._origin = values[middle]
        self._on_integers = on_integers
        x = values - self._origin
        # Summed outwards from the median, so that outliers do not drown the digits of the bulk.
        moments = np.zeros((3, values.size + 1))
        terms = np.stack([weights, weights * x, weights * x * x])
        moments[:, middle + 1 :] = np.cumsum(terms[:, middle:], axis=1)
        moments[:, :middle] = -np.cumsum(terms[:, :middle][:, ::-1], axis=1)[:, ::-1]
        self._moments = moments

    def cost(self, start: NDArray[Any], end: NDArray[Any]) -> Float64:
        """Squared error of the values [start, end) about their best centroid; every interval has a value."""
        mass, first, second = self._moments[:, end] - self._moments[:, start]
        centroid = np.divide(first, mass, out=np.zeros_like(mass), where=mass > 0)
        if self._on_integers:
            centroid = np.floor(centroid + 0.5)
            error = second - centroid * (2 * first - centroid * mass)
        else:
            error = np.maximum(second - first * centroid, 0)
        # Weights too small beside the others do not show in the sums.
        cost: Float64 = np.where(mass > 0, error, 0)
        return cost

    def centroid(self, start: NDArray[Any], end: NDArray[Any]) -> Float64:
        """Mean of the values [start, end)."""
        mass, first, _ = self._moments[:, end] - self._moments[:, start]
        mean = self._origin + np.divide(first, mass, out=np.zeros_like(mass), where=mass > 0)
        centroids: Float64 = np.clip(mean, self._values[start], self._values[end - 1])
        return centroids


def _best_starts(intervals: _Intervals, before: Float64, layer: int) -> tuple[Float64, NDArray[np.int32]]:
    """One layer of the dynamic program: the best cost of the first e values in `layer` intervals, for all e.

    The best start of the last interval does not fall as e grows, so the ends are solved by halves: each end
    looks only between the starts that its solved neighbours chose.
    """
    m = before.size - 1
    best = np.full(m + 1, np.inf)
    start = np.zeros(m + 1, np.int32)
    step = 1 << max(m - layer, 0).bit_length()
    solved_low, solved_high = layer - 1, m - 1
    ends_done = np.empty(0, np.int64)
    while step:
        ends = np.arange(layer - 1 + step, m + 1, 2 * step)
        ends = ends[ends >= layer]
        if ends.size:
            left = np.searchsorted(ends_done, ends)
            low = np.where(left > 0, start[ends_done[left - 1]] if ends_done.size else 0, solved_low)
            has_right = left < ends_done.size
            right = np.minimum(left, max(ends_done.size - 1, 0))
            high = np.where(has_right, start[ends_done[right]] if ends_done.size else 0, solved_high)
            high = np.minimum(high, ends - 1)
            sizes = high - low + 1
            firsts = np.cumsum(sizes) - sizes
            candidates = np.arange(int(sizes.sum())) - np.repeat(firsts - low, sizes)
            costs = before[candidates] + intervals.cost(candidates, np.repeat(ends, sizes))
            best[ends] = np.minimum.reduceat(costs, firsts)
            hits = np.flatnonzero(costs == np.repeat(best[ends], sizes))
            owners = np.searchsorted(firsts, hits, side="right") - 1
            _, first_hit = np.unique(owners, return_index=True)
            start[ends] = candidates[hits[first_hit]]
            ends_done = np.sort(np.concatenate([ends_done, ends]))
        step >>= 1
    return best, start


def cut(intervals: _Intervals, m: int, k: int) -> NDArray[np.int64]:
    """Positions that cut m values into k intervals of least total cost, 0 first and m last."""
    best = np.full(m + 1, np.inf)
    best[0] = 0
    layers = []
    for layer in range(1, k + 1):
        best, start = _best_starts(intervals, best, layer)
        layers.append(start)
    cuts = [m]
    for start in reversed(layers):
        cuts.append(int(start[cuts[-1]]))
    return np.array(cuts[::-1])


def kmeans_rows(
    rows: NDArray[Any], k: int, weights: NDArray[np.float32] | None
) -> tuple[NDArray[Any], NDArray[np.uint8]]:
    """See `mlpress.kernels.kmeans_rows`."""
    table = np.zeros((rows.shape[0], k), rows.dtype)
    indices = np.zeros(rows.shape, np.uint8)
    on_integers = rows.dtype.kind in "iu"
    for r, row in enumerate(rows):
        if row.size == 0:
            continue
        values, masses = distinct_values(row, None if weights is None else weights[r])
        if values.size <= k:
            centroids = values
        else:
            intervals = _Intervals(values, masses, on_integers=on_integers)
            cuts = cut(intervals, values.size, k)
            centroids = intervals.centroid(cuts[:-1], cuts[1:])
        if on_integers:
            centroids = np.floor(centroids + 0.5)
        used = min(k, values.size)
        table[r, :used] = centroids.astype(rows.dtype)
        indices[r] = nearest_row(row, table[r, :used].astype(np.float64))
    return table, indices


def nearest_row(row: NDArray[Any], entries: Float64) -> NDArray[np.uint8]:
    """Index of the nearest entry for each value; of entries equally near, the lowest index."""
    order = np.argsort(entries, kind="stable")
    ascending = entries[order]
    first = np.concatenate([[True], ascending[1:] != ascending[:-1]])
    order, ascending = order[first], ascending[first]
    limits = (ascending[:-1] + ascending[1:]) / 2
    values = row.astype(np.float64)
    below = np.searchsorted(limits, values, side="left")  # a value on a limit goes left
    if order.size > 1:
        on_limit = values == limits[np.minimum(below, limits.size - 1)]
        goes_right = order[np.minimum(below + 1, order.size - 1)] < order[below]
        below = below + (on_limit & goes_right & (below < limits.size))
    indices: NDArray[np.uint8] = order[below].astype(np.uint8)
    return indices
