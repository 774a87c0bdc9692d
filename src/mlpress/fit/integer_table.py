"""Look-up tables of 8-bit integers that share one scale."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlpress import kernels
from mlpress.fit.integer_search import (
    Entries,
    Grid,
    Reach,
    Row,
    grids_of_any_offset,
    grids_with_offset,
    search,
)

# Groups that the search of the grid looks at; the result is settled on all of them.
_SAMPLED_GROUPS = 8
_PIECE = 1 << 18


@dataclass(frozen=True, slots=True)
class IntegerTable:
    """Integer tables and indices of G groups of n weights.

    Attributes:
        table: int8 or uint8 ``[G, k]``. The used entries ascend; those that no weight uses equal the
            offset, which decodes to 0, and stand at the end.
        scale: Positive, of the weights' dtype, shared by all groups.
        offset: The entry that decodes to 0.
        indices: uint8 ``[G, n]``, below k.
    """

    table: NDArray[Any]
    scale: np.floating[Any]
    offset: int
    indices: NDArray[np.uint8]

    def __post_init__(self) -> None:
        if self.table.ndim != 2 or self.indices.ndim != 2 or self.table.shape[0] != self.indices.shape[0]:
            shapes = f"{self.table.shape} and {self.indices.shape}"
            raise ValueError(f"table and indices have shapes {shapes}; [G, k] and [G, n] are expected")
        if not (np.isfinite(self.scale) and self.scale > 0):
            raise ValueError(f"the scale is {self.scale}; it must be positive and finite")


def fit_integer_table(
    groups: NDArray[Any],
    k: int,
    *,
    low: int,
    high: int,
    offset: int = 0,
    weights: NDArray[np.float32] | None = None,
) -> IntegerTable:
    """Palettizes groups with integer tables and one scale, for the least squared error of decoded weights.

    An existing palette is re-fitted by passing its table as the groups, with the number of weights that use
    each entry as `weights`; the indices then tell where each old entry went.

    Args:
        groups: float16 or float32 ``[G, n]``.
        k: Entries of a table, 1 to 256.
        low: Least entry allowed, -128 or more with int8 tables (low < 0), 0 or more with uint8 tables.
        high: Largest entry allowed.
        offset: The entry that decodes to 0.
        weights: float32 ``[G, n]``, the importance of each weight's squared error; finite, not negative.

    Raises:
        ValueError: A weight is NaN or infinite, or an argument is not as described.
    """
    _check(groups, k, low, high)
    if not low <= offset <= high:
        raise ValueError(f"offset is {offset}; allowed are {low} to {high}")
    return _fit(groups, weights, Entries(k, low, high), offset)


def fit_integer_table_asymmetric(
    groups: NDArray[Any], k: int, *, low: int, high: int, weights: NDArray[np.float32] | None = None
) -> IntegerTable:
    """Like `fit_integer_table`, with the offset searched too, between `low` and `high`."""
    _check(groups, k, low, high)
    return _fit(groups, weights, Entries(k, low, high), None)


def _check(groups: NDArray[Any], k: int, low: int, high: int) -> None:
    if groups.ndim != 2 or groups.dtype.type not in (np.float16, np.float32):
        raise ValueError(
            f"groups is {groups.dtype} with {groups.ndim} dimensions; float16 or float32 [G, n] is expected"
        )
    if not 1 <= k <= kernels.MAX_ENTRIES:
        raise ValueError(f"k is {k}; allowed are 1 to {kernels.MAX_ENTRIES}")
    if not (-128 <= low < high <= (127 if low < 0 else 255)):
        raise ValueError(f"low and high are {low} and {high}; -128 to 127 or 0 to 255 are the widest ranges")


def _fit(
    groups: NDArray[Any], weights: NDArray[np.float32] | None, entries: Entries, offset: int | None
) -> IntegerTable:
    """Searches the grid on some of the groups and settles it on all; an offset of None is searched too."""
    bad = kernels.count_nonfinite(groups)
    if bad:
        raise ValueError(f"{bad} of {groups.size} values are not finite")
    least, largest = min(0.0, float(groups.min(initial=0))), max(0.0, float(groups.max(initial=0)))
    if least == largest:
        zero = min(max(0, entries.low), entries.high) if offset is None else offset
        return _settle(groups, weights, entries, Grid(groups.dtype.type(1), zero))

    step = -(-len(groups) // _SAMPLED_GROUPS)
    some, some_weights = groups[::step], None if weights is None else weights[::step]
    rows = list(_rows(some, some_weights))
    tables, _ = kernels.kmeans_rows(some, entries.k, some_weights)
    mass, _, second = np.sum([row.moments[-1] for row in rows], axis=0)
    spread = float(np.sqrt(second / mass)) or largest - least
    reach = Reach((least, largest), (float(tables.min()), float(tables.max())), spread)
    if offset is None:
        grids = grids_of_any_offset(reach, entries, groups.dtype)
    else:
        grids = grids_with_offset(reach, entries, offset, groups.dtype)
    best = search(rows, entries, grids)
    if step > 1:
        errors = [[entries.choose(row, grid)[1] for grid in best] for row in _rows(groups, weights)]
        best = [best[int(np.sum(errors, axis=0).argmin())]]
    return _settle(groups, weights, entries, best[0])


def _rows(groups: NDArray[Any], weights: NDArray[np.float32] | None) -> Iterator[Row]:
    """One row after the other: together they would be several times the groups' size."""
    for g, group in enumerate(groups):
        yield Row.of(group, None if weights is None else weights[g])


def _settle(
    groups: NDArray[Any], weights: NDArray[np.float32] | None, entries: Entries, grid: Grid
) -> IntegerTable:
    """Chooses each group's entries on the final grid and assigns the weights; unused entries go last."""
    table = np.full((len(groups), entries.k), grid.offset, np.int8 if entries.low < 0 else np.uint8)
    indices = np.zeros(groups.shape, np.uint8)
    if groups.size:
        for g, row in enumerate(_rows(groups, weights)):
            chosen, _ = entries.choose(row, grid)
            indices[g] = kernels.nearest_rows(groups[g : g + 1], grid.decode(chosen)[None])[0]
            used = _used(indices[g], chosen.size)
            table[g, : int(used.sum())] = chosen[used]
            if not used.all():
                indices[g] = kernels.lookup(indices[g], (np.cumsum(used) - 1).astype(np.uint8))
    return IntegerTable(table, grid.scale, grid.offset, indices)


def _used(indices: NDArray[np.uint8], count: int) -> NDArray[np.bool_]:
    """Which of `count` indices occur; in pieces, since NumPy counts in copies of 8 bytes an index."""
    used = np.zeros(count, np.bool_)
    for start in range(0, indices.size, _PIECE):
        used |= np.bincount(indices[start : start + _PIECE], minlength=count) > 0
    return used
