"""Palettization of the values of any encoding that has no table yet."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

from mlpress.bits import INT8, UINT8, DType, Tensor, unsigned
from mlpress.encoding import Affine, Blocks, Dense, Encoding, Lut, Scatter, Sparse, decode
from mlpress.errors import NotApplicableError
from mlpress.fit.groups import Groups, index_leaf_of_dense
from mlpress.fit.integer_palette import fit_integer_groups
from mlpress.fit.layout import Layout
from mlpress.fit.scaled_palette import fit_scaled
from mlpress.fit.tables import fit_tables
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
    groups = _groups_of(stage, layout, leaf.shape)
    if not stage.per_channel_scale:
        return _fitted(stage, leaf.dtype, groups, leaf)
    if stage.cluster_dim > 1 or stage.mode != "kmeans":
        raise NotApplicableError("a scale per channel goes with mode 'kmeans' and cluster_dim 1")
    output_axis = layout.require_output_axis(len(leaf.shape))
    scale, entries, indices = fit_scaled(stage, leaf, output_axis, groups.blocks)
    lut = _lut(entries, leaf.dtype, groups, index_leaf_of_dense(indices, leaf, _index_dtype(entries)))
    return Affine(lut, Dense(Tensor.from_numpy(scale)))


def _integers(stage: Palettize, layout: Layout, source: Affine) -> Encoding:
    if stage.per_channel_scale:
        raise NotApplicableError("it is quantized and has its scales already")
    leaf, scale, offset = source.data, source.scale, source.offset
    assert isinstance(leaf, (Dense, Sparse))
    groups = _groups_of(stage, layout, leaf.shape)
    stored = INT8 if leaf.dtype.kind == "int" else UINT8
    if stage.mode == "kmeans" and stage.cluster_dim == 1:
        assert stage.nbits is not None
        entries, indices = fit_integer_groups(leaf, decode(scale), groups.blocks, 1 << stage.nbits)
        lut = _lut(entries, stored, groups, index_leaf_of_dense(indices, leaf, _index_dtype(entries)))
    else:
        lut = _fitted(stage, stored, groups, leaf)
    if offset is not None and offset.dtype.is_integer:
        offset = Dense(Tensor.from_numpy(decode(offset), stored))
    return Affine(lut, scale, offset)


def _fitted(stage: Palettize, dtype: DType, groups: Groups, leaf: Dense | Sparse) -> Lut:
    tables = fit_tables(stage, groups.rows(leaf), groups.row_shape(leaf))
    indices = groups.index_leaf(tables.indices, leaf, _index_dtype(tables.entries))
    return _lut(tables.entries, dtype, groups, indices)


def _groups_of(stage: Palettize, layout: Layout, shape: tuple[int, ...]) -> Groups:
    """Lays the groups of a stage over a weight.

    Raises:
        NotApplicableError: They do not fit it.
    """
    axis = _channel_axis(stage, layout, len(shape))
    channels = shape[axis]
    size = stage.group_size or channels
    if size == 0 or channels % size:
        raise NotApplicableError(f"group_size {size} does not divide the {channels} channels of axis {axis}")
    part = channels // (layout.groups if axis == 0 else 1)
    if size % stage.cluster_dim or part % stage.cluster_dim:
        raise NotApplicableError(
            f"cluster_dim {stage.cluster_dim} does not divide the {min(size, part)} channels of a group "
            f"along axis {axis}"
        )
    counts = [1] * len(shape)
    counts[axis] = channels // size
    return Groups(Blocks(shape, tuple(counts)), axis, stage.cluster_dim)


def _channel_axis(stage: Palettize, layout: Layout, rank: int) -> int:
    if stage.channel_axis is not None:
        if not -rank <= stage.channel_axis < rank:
            raise NotApplicableError(f"channel_axis {stage.channel_axis} is outside {-rank} to {rank - 1}")
        return stage.channel_axis % rank
    if stage.group_size is None and stage.cluster_dim == 1:
        return 0
    return layout.require_output_axis(rank)


def _lut(entries: Array, dtype: DType, groups: Groups, indices: Encoding) -> Lut:
    size, length = entries.shape[1:]
    table = Tensor.from_numpy(entries.reshape(*groups.blocks.counts, size, length), dtype)
    return Lut(indices, Dense(table), groups.axis if length > 1 else None)


def _index_dtype(entries: Array) -> DType:
    """Returns the type of indices into tables [G, E, V]."""
    return unsigned(entries.shape[1].bit_length() - 1)
