"""Palettization of the values of any encoding that has no table yet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mlpress import kernels
from mlpress.bits import INT8, UINT8, DType, Tensor, unsigned
from mlpress.encoding import Affine, Blocks, Dense, Encoding, Lut, Scatter, Sparse, decode, to_vectors
from mlpress.errors import NotApplicableError
from mlpress.fit.integer_palette import fit_integer_groups
from mlpress.fit.layout import Layout
from mlpress.fit.prune import mask_of_vectors, packed_bits
from mlpress.fit.scaled_palette import fit_scaled
from mlpress.fit.tables import Rows, Tables, fit_tables
from mlpress.recipe import Palettize

Array = npt.NDArray[Any]


def palettize(stage: Palettize, encoding: Encoding, layout: Layout) -> Encoding:
    """Replaces stored values by indices into tables.

    The values are floats, the integers of a quantized weight, or what a mask keeps of either.

    The integers of a quantized weight get a table of integers, so that its scales stay; clusters are then
    weighted by the squares of the scales. Only kept values of a pruned weight are looked at.

    Args:
        stage: How.
        encoding: A dense encoding of floats.
        layout: Axes of the weight.

    Raises:
        NotApplicableError: The weight has a table already, or groups or vectors do not fit it.
        NonFiniteWeightError: The weight holds NaN or infinity.
    """
    source = encoding.source if isinstance(encoding, Scatter) else encoding
    match source:
        case Dense(values) | Sparse(_, values) if values.dtype.is_float:
            found = _floats(stage, layout, source)
        case Affine(Dense(data) | Sparse(_, data)) if data.dtype.is_integer:
            found = _integers(stage, layout, source)
        case _:
            raise NotApplicableError("it is palettized already")
    return Scatter(found) if found.masked else found


def _floats(stage: Palettize, layout: Layout, leaf: Dense | Sparse) -> Encoding:
    groups = _Groups.of(stage, layout, leaf.shape)
    if not stage.per_channel_scale:
        return _lut(fit_tables(stage, groups.rows(leaf), groups.row_shape(leaf)), leaf.dtype, groups, leaf)
    if stage.cluster_dim > 1 or stage.mode != "kmeans":
        raise NotApplicableError("a scale per channel goes with mode 'kmeans' and cluster_dim 1")
    output_axis = layout.require_output_axis(len(leaf.shape))
    mask = leaf.mask.numpy() if isinstance(leaf, Sparse) else None
    scale, tables = fit_scaled(stage, _dense(leaf), mask, output_axis, groups.blocks)
    tables = groups.kept_only(tables, leaf)
    return Affine(_lut(tables, leaf.dtype, groups, leaf), Dense(Tensor.from_numpy(scale)))


def _integers(stage: Palettize, layout: Layout, source: Affine) -> Encoding:
    if stage.per_channel_scale:
        raise NotApplicableError("it is quantized and has its scales already")
    leaf, scale, offset = source.data, source.scale, source.offset
    assert isinstance(leaf, (Dense, Sparse))
    groups = _Groups.of(stage, layout, leaf.shape)
    if stage.mode == "kmeans" and stage.cluster_dim == 1:
        assert stage.nbits is not None
        mask = leaf.mask.numpy() if isinstance(leaf, Sparse) else None
        tables = fit_integer_groups(_dense(leaf), mask, decode(scale), groups.blocks, 1 << stage.nbits)
        tables = groups.kept_only(tables, leaf)
    else:
        tables = fit_tables(stage, groups.rows(leaf), groups.row_shape(leaf))
    stored = INT8 if leaf.dtype.kind == "int" else UINT8
    if offset is not None and offset.dtype.is_integer:
        offset = Dense(Tensor.from_numpy(decode(offset), stored))
    return Affine(_lut(tables, stored, groups, leaf), scale, offset)


def _dense(leaf: Dense | Sparse) -> Array:
    return decode(leaf if isinstance(leaf, Dense) else Scatter(leaf))


@dataclass(frozen=True, slots=True)
class _Groups:
    """Groups of channels that share a table, and the vectors that share an index.

    Attributes:
        blocks: The groups, over the weight.
        axis: The channel axis.
        length: Elements of a vector along it.
    """

    blocks: Blocks
    axis: int
    length: int

    @classmethod
    def of(cls, stage: Palettize, layout: Layout, shape: tuple[int, ...]) -> _Groups:
        """Lays the groups of a stage over a weight.

        Raises:
            NotApplicableError: They do not fit it.
        """
        axis = _channel_axis(stage, layout, len(shape))
        channels = shape[axis]
        size = stage.group_size or channels
        if size == 0 or channels % size:
            raise NotApplicableError(
                f"group_size {size} does not divide the {channels} channels of axis {axis}"
            )
        part = channels // (layout.groups if axis == 0 else 1)
        if size % stage.cluster_dim or part % stage.cluster_dim:
            raise NotApplicableError(
                f"cluster_dim {stage.cluster_dim} does not divide the {min(size, part)} channels of a group "
                f"along axis {axis}"
            )
        counts = [1] * len(shape)
        counts[axis] = channels // size
        return cls(Blocks(shape, tuple(counts)), axis, stage.cluster_dim)

    def rows(self, leaf: Dense | Sparse) -> Rows:
        """Returns the values of each group, [n] or [n, V]; of a sparse leaf the kept ones."""
        if isinstance(leaf, Dense):
            return self._dense_rows(leaf.values.numpy())
        if self._in_order and self.blocks.count == 1:
            return leaf.values.numpy()[None]
        if self._in_order:
            ends = np.cumsum(np.count_nonzero(self._kept(leaf), axis=1))
            return np.split(leaf.values.numpy(), ends[:-1])
        return [row[kept] for row, kept in zip(self._dense_rows(_dense(leaf)), self._kept(leaf), strict=True)]

    def row_shape(self, leaf: Dense | Sparse) -> tuple[int, ...]:
        """Returns the shape of a group of channels, or one unknown size for what is kept of it."""
        sizes = zip(self.blocks.shape, self.blocks.counts, strict=True)
        return tuple(size // count for size, count in sizes) if isinstance(leaf, Dense) else (-1,)

    def index_leaf(self, indices: Rows, leaf: Dense | Sparse, dtype: DType) -> Encoding:
        """Returns the leaf that holds the indices of the rows of `leaf`."""
        if isinstance(leaf, Dense):
            dense = self._index_blocks.unrows(np.asarray(indices))
            return Dense(Tensor.from_numpy(dense, dtype))
        mask = self._index_mask(leaf)
        if self._in_order:
            return Sparse(mask, Tensor.from_numpy(np.concatenate(indices), dtype))
        kept = self._kept(leaf)
        rows = np.zeros(kept.shape, np.uint8)
        for row, found, chosen in zip(rows, indices, kept, strict=True):
            row[chosen] = found
        gathered = kernels.gather_mask(self._index_blocks.unrows(rows).reshape(-1), packed_bits(mask))
        return Sparse(mask, Tensor.from_numpy(gathered, dtype))

    def kept_only(self, tables: Tables, leaf: Dense | Sparse) -> Tables:
        """Returns tables that were fitted to dense rows with the indices of what `leaf` keeps."""
        if isinstance(leaf, Dense):
            return tables
        pairs = zip(tables.indices, self._kept(leaf), strict=True)
        return Tables(tables.entries, [row[kept] for row, kept in pairs])

    @property
    def _in_order(self) -> bool:
        """Whether the kept values of a group are neighbours in a sparse leaf."""
        return self.length == 1 and (self.axis == 0 or self.blocks.count == 1)

    @property
    def _index_blocks(self) -> Blocks:
        shape = list(self.blocks.shape)
        shape[self.axis] //= self.length
        return Blocks(tuple(shape), self.blocks.counts)

    def _dense_rows(self, values: Array) -> Array:
        if self.length == 1:
            return self.blocks.rows(values)
        vectors = to_vectors(values, self.axis, self.length)
        rows = Blocks(vectors.shape, (*self.blocks.counts, 1)).rows(vectors)
        return rows.reshape(self.blocks.count, -1, self.length)

    def _index_mask(self, leaf: Sparse) -> Tensor:
        return leaf.mask if self.length == 1 else mask_of_vectors(leaf.mask, self.axis, self.length)

    def _kept(self, leaf: Sparse) -> npt.NDArray[np.bool_]:
        return self._index_blocks.rows(self._index_mask(leaf).numpy().view(np.bool_))


def _channel_axis(stage: Palettize, layout: Layout, rank: int) -> int:
    if stage.channel_axis is not None:
        if not -rank <= stage.channel_axis < rank:
            raise NotApplicableError(f"channel_axis {stage.channel_axis} is outside {-rank} to {rank - 1}")
        return stage.channel_axis % rank
    if stage.group_size is None and stage.cluster_dim == 1:
        return 0
    return layout.require_output_axis(rank)


def _lut(tables: Tables, dtype: DType, groups: _Groups, leaf: Dense | Sparse) -> Lut:
    size, length = tables.entries.shape[1:]
    table = Tensor.from_numpy(tables.entries.reshape(*groups.blocks.counts, size, length), dtype)
    indices = groups.index_leaf(tables.indices, leaf, unsigned(size.bit_length() - 1))
    return Lut(indices, Dense(table), groups.axis if length > 1 else None)
