"""Palettization of the values of any encoding that has no table yet."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from mlpress import kernels
from mlpress.bits import DType, Tensor, dtype_named, dtype_of, unsigned
from mlpress.encoding import Affine, Blocks, Dense, Encoding, Lut, Scatter, Sparse, decode, to_vectors
from mlpress.errors import NotApplicableError
from mlpress.fit.integer_palette import fit_integer_groups
from mlpress.fit.layout import Layout
from mlpress.fit.prune import mask_of_vectors, packed_bits
from mlpress.fit.scaled_palette import fit_scaled
from mlpress.fit.tables import Tables, fit_tables
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
        case Dense(values) if values.dtype.is_float:
            found = _floats(stage, layout, values.numpy(), None)
        case Sparse(mask, values) if values.dtype.is_float:
            found = _floats(stage, layout, decode(encoding), mask)
        case Affine(Dense(data)) if data.dtype.is_integer:
            found = _integers(stage, layout, source, data.numpy(), None)
        case Affine(Sparse(mask, data)) if data.dtype.is_integer:
            codes = kernels.scatter_mask(data.numpy(), packed_bits(mask), mask.size).reshape(mask.shape)
            found = _integers(stage, layout, source, codes, mask)
        case _:
            raise NotApplicableError("it is palettized already")
    return Scatter(found) if found.masked else found


def _floats(stage: Palettize, layout: Layout, values: Array, mask: Tensor | None) -> Encoding:
    blocks, axis = _groups(stage, layout, values.shape)
    if stage.per_channel_scale:
        if stage.cluster_dim > 1 or stage.mode != "kmeans":
            raise NotApplicableError("a scale per channel goes with mode 'kmeans' and cluster_dim 1")
        output_axis = layout.require_output_axis(values.ndim)
        scale, tables = fit_scaled(stage, values, mask, output_axis, blocks)
        palette = _lut(tables, dtype_of(values), blocks, axis, mask)
        return Affine(palette, Dense(Tensor.from_numpy(scale)))
    tables = fit_tables(stage, *_rows(values, mask, blocks, axis, stage.cluster_dim))
    return _lut(tables, dtype_of(values), blocks, axis, mask)


def _integers(
    stage: Palettize, layout: Layout, source: Affine, codes: Array, mask: Tensor | None
) -> Encoding:
    if stage.per_channel_scale:
        raise NotApplicableError(
            "it is quantized and has its scales already; a scale per channel does not apply"
        )
    blocks, axis = _groups(stage, layout, codes.shape)
    if stage.mode == "kmeans" and stage.cluster_dim == 1:
        assert stage.nbits is not None
        tables = fit_integer_groups(codes, mask, decode(source.scale), blocks, 1 << stage.nbits)
    else:
        rows, kept = _rows(codes, mask, blocks, axis, stage.cluster_dim)
        tables = fit_tables(stage, rows, kept)
    stored = dtype_named("int8" if codes.dtype == np.int8 else "uint8")
    offset = source.offset
    if offset is not None and offset.dtype.is_integer:
        offset = Dense(Tensor.from_numpy(decode(offset), stored))
    return Affine(_lut(tables, stored, blocks, axis, mask), source.scale, offset)


def _groups(stage: Palettize, layout: Layout, shape: tuple[int, ...]) -> tuple[Blocks, int]:
    """Returns the groups of channels that share a table, and the channel axis."""
    rank = len(shape)
    if stage.channel_axis is not None and not -rank <= stage.channel_axis < rank:
        raise NotApplicableError(f"channel_axis {stage.channel_axis} is outside {-rank} to {rank - 1}")
    if stage.channel_axis is not None:
        axis = stage.channel_axis % rank
    elif stage.group_size is None and stage.cluster_dim == 1:
        axis = 0
    else:
        axis = layout.require_output_axis(rank)
    channels = shape[axis]
    size = stage.group_size or channels
    if channels % size:
        raise NotApplicableError(f"group_size {size} does not divide the {channels} channels of axis {axis}")
    parts = layout.groups if axis == 0 else 1
    if size % stage.cluster_dim or channels // parts % stage.cluster_dim:
        raise NotApplicableError(
            f"cluster_dim {stage.cluster_dim} does not divide the {min(size, channels // parts)} channels "
            f"of a group along axis {axis}"
        )
    counts = [1] * rank
    counts[axis] = channels // size
    return Blocks(shape, tuple(counts)), axis


def _rows(
    values: Array, mask: Tensor | None, blocks: Blocks, axis: int, length: int
) -> tuple[Array, npt.NDArray[np.bool_] | None]:
    """Returns values by group, [G, n] or for vectors [G, n, V], and which of the n are kept."""
    kept = None if mask is None else _index_blocks(blocks, axis, length).rows(_index_mask(mask, axis, length))
    if length == 1:
        rows = blocks.rows(values)
    else:
        vectors = to_vectors(values, axis, length)
        rows = Blocks(vectors.shape, (*blocks.counts, 1)).rows(vectors).reshape(blocks.count, -1, length)
    return rows, kept


def _index_blocks(blocks: Blocks, axis: int, length: int) -> Blocks:
    shape = list(blocks.shape)
    shape[axis] //= length
    return Blocks(tuple(shape), blocks.counts)


def _index_mask(mask: Tensor, axis: int, length: int) -> npt.NDArray[np.bool_]:
    return (mask if length == 1 else mask_of_vectors(mask, axis, length)).numpy().view(np.bool_)


def _lut(tables: Tables, dtype: DType, blocks: Blocks, axis: int, mask: Tensor | None) -> Lut:
    bits = int(math.log2(tables.entries.shape[1]))
    length = tables.entries.shape[2]
    table = Tensor.from_numpy(tables.entries.reshape(*blocks.counts, 1 << bits, length), dtype)
    dense = _index_blocks(blocks, axis, length).unrows(tables.indices)
    vector_axis = axis if length > 1 else None
    if mask is None:
        return Lut(Dense(Tensor.from_numpy(dense, unsigned(bits))), Dense(table), vector_axis)
    index_mask = mask if length == 1 else mask_of_vectors(mask, axis, length)
    kept = kernels.gather_mask(dense.reshape(-1), packed_bits(index_mask))
    return Lut(Sparse(index_mask, Tensor.from_numpy(kept, unsigned(bits))), Dense(table), vector_axis)
