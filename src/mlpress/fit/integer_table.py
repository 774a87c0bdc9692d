"""Look-up tables of 8-bit integers that share one scale."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
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
_PIECE = 1 << 19

Rows = NDArray[Any] | Sequence[NDArray[Any]]
"""One array for each of G groups, or one array for all of them."""

RowOf = Callable[[int], Row]
"""Makes the row of a group. All rows together may be several times the groups' size, so none is kept."""


@dataclass(frozen=True, slots=True)
class IntegerTable:
    """Integer tables and indices of G groups of n weights.

    Attributes:
        table: int8 or uint8 ``[G, k]``. The used entries ascend; those that no weight uses equal the
            offset, which decodes to 0, and stand at the end.
        scale: Positive, of the weights' dtype, shared by all groups.
        offset: The entry that decodes to 0.
        indices: uint8 ``[G, n]``, below k; a list of G arrays where the groups are one.
    """

    table: NDArray[Any]
    scale: np.floating[Any]
    offset: int
    indices: Rows

    def __post_init__(self) -> None:
        ranks = {row.ndim for row in self.indices}
        if self.table.ndim != 2 or ranks - {1} or len(self.table) != len(self.indices):
            shapes = f"{self.table.shape} and {[row.shape for row in self.indices]}"
            raise ValueError(f"table and indices have shapes {shapes}; [G, k] and [G, n] are expected")
        if not (np.isfinite(self.scale) and self.scale > 0):
            raise ValueError(f"the scale is {self.scale}; it must be positive and finite")


def fit_integer_table(
    groups: Rows,
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
        groups: float16 or float32 ``[G, n]``, or a sequence of G arrays, whose lengths may differ.
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
    groups: Rows, k: int, *, low: int, high: int, weights: NDArray[np.float32] | None = None
) -> IntegerTable:
    """Like `fit_integer_table`, with the offset searched too, between `low` and `high`."""
    _check(groups, k, low, high)
    return _fit(groups, weights, Entries(k, low, high), None)


def _check(groups: Rows, k: int, low: int, high: int) -> None:
    rank = groups.ndim if isinstance(groups, np.ndarray) else 2
    for group in islice(groups, 1):
        if rank != 2 or group.dtype.type not in (np.float16, np.float32):
            raise ValueError(
                f"groups is {group.dtype} with {rank} dimensions; float16 or float32 [G, n] is expected"
            )
    if not 1 <= k <= kernels.MAX_ENTRIES:
        raise ValueError(f"k is {k}; allowed are 1 to {kernels.MAX_ENTRIES}")
    if not (-128 <= low < high <= (127 if low < 0 else 255)):
        raise ValueError(f"low and high are {low} and {high}; -128 to 127 or 0 to 255 are the widest ranges")


def _fit(
    groups: Rows, weights: NDArray[np.float32] | None, entries: Entries, offset: int | None
) -> IntegerTable:
    parts = [groups] if isinstance(groups, np.ndarray) else groups
    bad, size = sum(kernels.count_nonfinite(part) for part in parts), sum(part.size for part in parts)
    if bad:
        raise ValueError(f"{bad} of {size} values are not finite")

    def row_of(group: int) -> Row:
        return Row.of(groups[group], None if weights is None else weights[group])

    dtype = parts[0].dtype if parts else np.dtype(np.float32)
    ends = [float(end(part)) for part in parts if part.size for end in (np.min, np.max)]
    grid = find_grid(row_of, len(groups), dtype, entries, offset, ends)
    table, decoded = tables_on_grid(row_of, len(groups), entries, grid)
    if isinstance(groups, np.ndarray):
        indices: Rows = np.empty(groups.shape, np.uint8)
        for group, own, out in zip(groups, decoded, indices, strict=True):
            assign(group, own, out)
    else:
        indices = [assign(group, own) for group, own in zip(groups, decoded, strict=True)]
    return IntegerTable(table, grid.scale, grid.offset, indices)


def find_grid(
    row_of: RowOf,
    count: int,
    dtype: np.dtype[Any],
    entries: Entries,
    offset: int | None,
    ends: Sequence[float],
) -> Grid:
    """Searches the grid on some of the groups, and chooses among the best few on all.

    Args:
        row_of: Makes the row of each group, 0 to `count` - 1.
        count: Number of groups.
        dtype: float16 or float32, of the weights.
        entries: What tables may hold.
        offset: The entry that decodes to 0; None is searched too.
        ends: The least and the largest value of all groups are among these.
    """
    least, largest = min([0.0, *ends]), max([0.0, *ends])
    step = max(1, -(-count // _SAMPLED_GROUPS))
    rows = [row for row in map(row_of, range(0, count, step)) if row.values.size]
    if not rows and step > 1:
        rows = [row for row in map(row_of, range(count)) if row.values.size][:1]
    if least == largest or not rows:
        zero = min(max(0, entries.low), entries.high) if offset is None else offset
        return Grid(dtype.type(1), zero)

    tables = np.concatenate([_centroids(row, entries.k, dtype) for row in rows])
    mass, _, second = np.sum([row.moments[-1] for row in rows], axis=0)
    spread = float(np.sqrt(second / mass)) or largest - least
    reach = Reach((least, largest), (float(tables.min()), float(tables.max())), spread)
    if offset is None:
        grids = grids_of_any_offset(reach, entries, dtype)
    else:
        grids = grids_with_offset(reach, entries, offset, dtype)
    best = search(rows, entries, grids)
    if step > 1:
        every = (row for row in map(row_of, range(count)) if row.values.size)
        errors = [[entries.choose(row, grid)[1] for grid in best] for row in every]
        best = [best[int(np.sum(errors, axis=0).argmin())]]
    return best[0]


def _centroids(row: Row, k: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    masses = np.diff(row.moments[:, 0]).astype(np.float32)
    return kernels.kmeans_rows(row.values.astype(dtype)[None], k, masses[None])[0]


def tables_on_grid(
    row_of: RowOf, count: int, entries: Entries, grid: Grid
) -> tuple[NDArray[Any], list[NDArray[Any]]]:
    """Chooses each group's entries on a grid.

    Returns:
        The tables ``[count, k]``, unused entries last, and what the used entries of each decode to.
    """
    tables = np.full((count, entries.k), grid.offset, np.int8 if entries.low < 0 else np.uint8)
    decoded = [grid.decode(np.array([grid.offset]))] * count
    for group, row in enumerate(map(row_of, range(count))):
        if row.values.size:
            chosen, _ = entries.choose(row, grid)
            values = row.values.astype(grid.scale.dtype)[None]
            used = chosen[np.unique(kernels.nearest_rows(values, grid.decode(chosen)[None])[0])]
            tables[group, : used.size], decoded[group] = used, grid.decode(used)
    return tables, decoded


def assign(
    values: NDArray[Any], decoded: NDArray[Any], out: NDArray[np.uint8] | None = None
) -> NDArray[np.uint8]:
    """Returns the index ``[n]`` of the nearest of the decoded entries for each of `values` ``[n]``."""
    out = np.empty(values.shape, np.uint8) if out is None else out
    for start in range(0, len(values), _PIECE):
        piece = slice(start, start + _PIECE)
        out[piece] = kernels.nearest_rows(values[None, piece], decoded[None])[0]
    return out
