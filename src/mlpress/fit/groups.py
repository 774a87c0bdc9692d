"""Groups of channels that share a table, and what a mask keeps of them, a range of rows at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from mlpress import kernels
from mlpress.bits import DType, Tensor
from mlpress.encoding import Blocks, Dense, Encoding, Scatter, Sparse, decode_rows, size_of, to_vectors
from mlpress.fit.aside import array_aside, empty_aside
from mlpress.fit.prune import mask_of_vectors, packed_bits
from mlpress.fit.tables import Rows

Array = npt.NDArray[Any]

_PIECE = 1 << 18
"""Elements of a weight that are looked at together."""


@dataclass(frozen=True, slots=True)
class Groups:
    """Groups of channels that share a table, and the vectors that share an index.

    Attributes:
        blocks: The groups, over the weight.
        axis: The channel axis.
        length: Elements of a vector along it.
    """

    blocks: Blocks
    axis: int = 0
    length: int = 1

    def rows(self, leaf: Dense | Sparse) -> Rows:
        """Returns the values of each group, [n] or [n, V]; of a sparse leaf the kept ones."""
        if isinstance(leaf, Dense):
            if self.length > 1 and leaf.dtype.is_packed:
                return self._gathered(leaf, None)  # otherwise all would be unpacked, and then copied
            return self.dense_rows(leaf.values.numpy())
        mask = self._index_mask(leaf.mask)
        if self._in_order:
            return self._split(leaf.values.numpy(), mask)
        return self._gathered(Scatter(leaf), mask)

    def dense_rows(self, array: Array) -> Rows:
        """Returns the values of each group of an array of the shape of the weight.

        Rows of scalars that are no neighbours are copied one by one, as they are asked for.
        """
        if self.length == 1 and not self._in_order:
            return _RowsInTurn(array, self.blocks)
        return self._all_rows(array)

    def kept_rows(self, array: Array, mask: Tensor) -> Rows:
        """Returns what `mask` keeps of each group of an array of the shape of the weight."""
        if self._in_order:
            kept = kernels.gather_mask(np.ascontiguousarray(array).reshape(-1), packed_bits(mask))
            return self._split(array_aside(kept, mask.size), mask)
        return self._gathered(Dense(Tensor.from_numpy(array)), self._index_mask(mask))

    def row_shape(self, leaf: Dense | Sparse) -> tuple[int, ...]:
        """Returns the shape of a group of channels, or one unknown size for what is kept of it."""
        sizes = zip(self.blocks.shape, self.blocks.counts, strict=True)
        return tuple(size // count for size, count in sizes) if isinstance(leaf, Dense) else (-1,)

    def index_leaf(self, indices: Rows, leaf: Dense | Sparse, dtype: DType) -> Dense | Sparse:
        """Returns the leaf that holds the indices of the rows of `leaf`, as `rows` orders them."""
        if isinstance(leaf, Dense):
            return Dense(Tensor.from_numpy(self._dense_indices(indices), dtype))
        mask = self._index_mask(leaf.mask)
        in_order = np.concatenate(indices) if self._in_order else self._put_in_order(indices, mask)
        return Sparse(mask, Tensor.from_numpy(in_order, dtype))

    @property
    def _in_order(self) -> bool:
        """Whether the kept values of a group are neighbours in a sparse leaf."""
        return self.length == 1 and math.prod(self.blocks.counts[1:]) == 1

    @property
    def _index_blocks(self) -> Blocks:
        shape = list(self.blocks.shape)
        shape[self.axis] //= self.length
        return Blocks(tuple(shape), self.blocks.counts)

    def _index_mask(self, mask: Tensor) -> Tensor:
        return mask if self.length == 1 else mask_of_vectors(mask, self.axis, self.length)

    def _dense_indices(self, indices: Rows) -> Array:
        blocks = self._index_blocks
        if isinstance(indices, np.ndarray):
            return blocks.unrows(indices)
        dense = np.empty(blocks.shape, np.uint8)
        for group, row in enumerate(indices):
            part = dense[blocks.place(group)]
            part[...] = row.reshape(part.shape)
        return dense

    def _all_rows(self, values: Array) -> Array:
        if self.length == 1:
            return self.blocks.rows(values)
        vectors = to_vectors(values, self.axis, self.length)
        rows = Blocks(vectors.shape, (*self.blocks.counts, 1)).rows(vectors)
        return rows.reshape(self.blocks.count, -1, self.length)

    def _split(self, kept: Array, mask: Tensor) -> Rows:
        if self.blocks.count == 1:
            return kept[None]
        return np.split(kept, np.cumsum(self._counts(mask))[:-1])

    def _counts(self, mask: Tensor) -> npt.NDArray[np.int64]:
        """Returns how many indices of each group a mask keeps."""
        counts = np.zeros(self.blocks.count, np.int64)
        for cut in self._cuts():
            counts[cut.numbers] += np.count_nonzero(cut.kept(mask), axis=1)
        return counts

    def _gathered(self, source: Encoding, mask: Tensor | None) -> list[Array]:
        """Returns what `mask` keeps of each group, all if there is none, in the order of the weight."""
        vector = () if self.length == 1 else (self.length,)
        if mask is None:
            each = math.prod(self._index_blocks.shape) // self.blocks.count
            counts = np.full(self.blocks.count, each, np.int64)
        else:
            counts = self._counts(mask)
        found = empty_aside((int(counts.sum()), *vector), source.dtype.storage, size_of(source))
        ends = np.cumsum(counts) - counts
        for cut in self._cuts():
            dense = cut.groups._all_rows(decode_rows(source, cut.start, cut.stop))
            kept = [slice(None)] * len(dense) if mask is None else cut.kept(mask)
            for group, row, chosen in zip(cut.numbers, dense, kept, strict=True):
                some = row[chosen]
                found[ends[group] : ends[group] + len(some)] = some
                ends[group] += len(some)
        return np.split(found, np.cumsum(counts)[:-1])

    def _put_in_order(self, indices: Rows, mask: Tensor) -> npt.NDArray[np.uint8]:
        """Returns the indices of all groups in the order of the weight."""
        found = empty_aside((sum(len(row) for row in indices),), np.uint8, mask.size)
        end = 0
        ends = np.zeros(self.blocks.count, np.int64)
        for cut in self._cuts():
            kept = cut.kept(mask)
            rows = np.zeros(kept.shape, np.uint8)
            for group, row, chosen in zip(cut.numbers, rows, kept, strict=True):
                count = int(np.count_nonzero(chosen))
                row[chosen] = indices[group][ends[group] : ends[group] + count]
                ends[group] += count
            blocks = cut.groups._index_blocks
            part = blocks.unrows(rows)[blocks.unrows(kept)]
            found[end : end + len(part)] = part
            end += len(part)
        return found

    def _cuts(self) -> Iterator[_Cut]:
        """Cuts the first axis so that no group of rows and no vector is cut."""
        rows, *others = self.blocks.shape
        count, *counts = self.blocks.counts
        grouped = count > 1
        together = rows // count if grouped else self.length if self.axis == 0 else 1
        step = max(_PIECE // max(math.prod(others), 1) // together, 1) * together
        for start in range(0, rows, step):
            stop = min(start + step, rows)
            own = (stop - start) // together if grouped else 1
            groups = Groups(Blocks((stop - start, *others), (own, *counts)), self.axis, self.length)
            first = start // together * math.prod(counts) if grouped else 0
            yield _Cut(start, stop, np.arange(groups.blocks.count) + first, groups)


@dataclass(frozen=True, slots=True)
class _Cut:
    """A range of rows of a weight, and the groups that have a part in it.

    Attributes:
        start: First row.
        stop: Row after the last.
        numbers: int [g], which groups these are.
        groups: These groups, over the range.
    """

    start: int
    stop: int
    numbers: npt.NDArray[np.intp]
    groups: Groups

    def kept(self, mask: Tensor) -> npt.NDArray[np.bool_]:
        """Returns the part of a mask of the indices, [g, n]."""
        each = self.groups.length if self.groups.axis == 0 else 1
        part = decode_rows(Dense(mask), self.start // each, self.stop // each)
        return self.groups._index_blocks.rows(part.view(np.bool_))


class _RowsInTurn(Sequence[Array]):
    """The values of groups that are no neighbours in a weight: each row is a copy, made when asked for."""

    def __init__(self, values: Array, blocks: Blocks) -> None:
        self._values, self._blocks = values, blocks

    def __len__(self) -> int:
        return self._blocks.count

    @overload
    def __getitem__(self, group: int) -> Array: ...
    @overload
    def __getitem__(self, group: slice) -> list[Array]: ...
    def __getitem__(self, group: int | slice) -> Array | list[Array]:
        numbers = range(len(self))[group]
        if isinstance(numbers, range):
            return [self[number] for number in numbers]
        return self._values[self._blocks.place(numbers)].reshape(-1)


def index_leaf_of_dense(indices: npt.NDArray[np.uint8], leaf: Encoding, dtype: DType) -> Dense | Sparse:
    """Returns the leaf that holds `indices` of the shape of `leaf`; of a sparse one, those that it keeps."""
    if isinstance(leaf, Sparse):
        kept = kernels.gather_mask(indices.reshape(-1), packed_bits(leaf.mask))
        return Sparse(leaf.mask, Tensor.from_numpy(kept, dtype))
    return Dense(Tensor.from_numpy(indices, dtype))
