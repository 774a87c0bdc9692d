"""The search of the grid, a scale and an offset, whose points make the best integer look-up tables.

An entry t decodes to ``scale * (t - offset)``, so a table's entries are points of an even grid. On a given
grid the best points are chosen exactly, by `mlpress.kernels.choose_points`; grids are tried, first coarsely,
then finely.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlpress import kernels

Float64 = NDArray[np.float64]


class Grid(NamedTuple):
    """A scale of the weights' dtype, and the integer that decodes to 0."""

    scale: np.floating[Any]
    offset: int

    def decode(self, integers: NDArray[Any]) -> NDArray[Any]:
        """What integers decode to: a float32 product, rounded to the weights' dtype."""
        with np.errstate(over="ignore"):
            return ((integers - self.offset).astype(np.float32) * np.float32(self.scale)).astype(
                self.scale.dtype
            )


@dataclass(frozen=True, slots=True)
class Row:
    """Distinct values of a group ``[m]``, and their moments before each position ``[m + 1, 3]``."""

    values: Float64
    moments: Float64

    @classmethod
    def of(cls, group: NDArray[Any], weights: NDArray[np.float32] | None) -> Row:
        values, masses = kernels.distinct_values(group, weights)
        moments = np.zeros((values.size + 1, 3))
        for power in range(3):
            np.cumsum(masses, out=moments[1:, power])
            masses = masses * values
        return cls(values, moments)


@dataclass(frozen=True, slots=True)
class Entries:
    """How many entries tables have, and the range of these integers."""

    k: int
    low: int
    high: int

    def choose(self, row: Row, grid: Grid) -> tuple[NDArray[np.int64], float]:
        """Returns the best integers for a row on a grid, ascending, and the squared error with them."""
        integers = np.arange(self.low, self.high + 1)
        points = grid.decode(integers).astype(np.float64)
        finite = np.isfinite(points)
        integers, points = integers[finite], points[finite]
        halves = (np.arange(2 * integers.size - 1) / 2 + (integers[0] - grid.offset)) * float(grid.scale)
        k = min(self.k, points.size)
        chosen, error = kernels.choose_points(row.values, row.moments, points, halves, k)
        return integers[chosen], error


@dataclass(frozen=True, slots=True)
class Reach:
    """How far the weights go, which bounds the scales that are tried.

    Attributes:
        values: Least and largest value of any group, 0 included.
        centroids: Least and largest centroid of tables that are not bound to a grid.
        spread: Root mean square of the values, positive.
    """

    values: tuple[float, float]
    centroids: tuple[float, float]
    spread: float


def grids_with_offset(reach: Reach, entries: Entries, offset: int, dtype: np.dtype[Any]) -> list[Grid]:
    """Grids of a given offset to try first."""
    below, above = offset - entries.low, entries.high - offset

    def needed(ends: tuple[float, float]) -> float:
        return max(-ends[0] / below if below else 0, ends[1] / above if above else 0)

    scales = _scales(needed(reach.centroids), needed(reach.values), reach.spread / max(below, above), 48)
    return [Grid(scale, offset) for scale in representable(scales, dtype)]


def grids_of_any_offset(reach: Reach, entries: Entries, dtype: np.dtype[Any]) -> list[Grid]:
    """Grids to try first that line up with the least value, the largest, or the middle."""
    steps = entries.high - entries.low
    inner, full = (ends[1] - ends[0] for ends in (reach.centroids, reach.values))
    grids = []
    for scale in representable(_scales(inner / steps, full / steps, reach.spread / steps, 32), dtype):
        start, stop = (end / float(scale) for end in reach.values)
        for offset in (
            entries.low - start,
            entries.high - stop,
            (entries.low + entries.high - start - stop) / 2,
        ):
            grids.append(Grid(scale, int(np.clip(np.rint(offset), entries.low, entries.high))))
    return list(dict.fromkeys(grids))


def _scales(inner: float, full: float, spread: float, count: int) -> Float64:
    """From a scale that clips many values to one that holds all, with a little room for its rounding."""
    largest = max(full * 1.02, spread)
    return np.geomspace(max(min(inner / 2, spread), largest / 1000), largest, count)


def representable(scales: Float64, dtype: np.dtype[Any]) -> list[np.floating[Any]]:
    """Rounds scales to a dtype, keeps them positive and finite, and drops repeats."""
    limits = np.finfo(dtype)
    bounded = np.clip(scales, float(limits.smallest_subnormal), float(limits.max))
    return list(np.unique(bounded.astype(dtype)))


def search(rows: Sequence[Row], entries: Entries, grids: Sequence[Grid]) -> list[Grid]:
    """Returns the three best grids for some rows: tries those given (ascending), then some near the best."""
    errors: dict[Grid, float] = {}

    def best_after(some: Sequence[Grid]) -> list[Grid]:
        for grid in some:
            if grid not in errors:
                errors[grid] = sum(entries.choose(row, grid)[1] for row in rows)
        return sorted(errors, key=errors.__getitem__)

    best = best_after(grids)
    shifts = (0,) if len({grid.offset for grid in grids}) == 1 else (-1, 0, 1)
    gaps = max(len({grid.scale for grid in grids}) - 1, 1)
    ratio = (float(grids[-1].scale) / float(grids[0].scale)) ** (1 / gaps)
    for count in (8, 6):
        near = [_least_squares(rows, entries, grid) for grid in best[:2]]
        for grid in best[:2]:
            around = float(grid.scale) * np.geomspace(1 / ratio, ratio, count + 2)[1:-1]
            offsets = [grid.offset + s for s in shifts if entries.low <= grid.offset + s <= entries.high]
            near += [Grid(s, offset) for s in representable(around, grid.scale.dtype) for offset in offsets]
        best = best_after(near)
        ratio **= 2 / count
    return best[:3]


def _least_squares(rows: Sequence[Row], entries: Entries, grid: Grid) -> Grid:
    """The scale of least error while every value keeps its entry."""
    product = square = 0.0
    for row in rows:
        integers, _ = entries.choose(row, grid)
        decoded = grid.decode(integers).astype(np.float64)
        cuts = np.searchsorted(row.values, (decoded[:-1] + decoded[1:]) / 2, side="right")
        bounds = np.concatenate([[0], cuts, [row.values.size]])
        mass, first, _ = np.diff(row.moments[bounds], axis=0).T
        steps = integers - grid.offset
        product += float(first @ steps)
        square += float(mass @ (steps * steps))
    if not (product > 0 and square > 0):
        return grid
    return Grid(representable(np.array([product / square]), grid.scale.dtype)[0], grid.offset)
