"""Tables for weights divided by one scale per output channel."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from mlpress import kernels
from mlpress.bits import Tensor
from mlpress.encoding import Blocks, Dense, Encoding, Scatter, Sparse, decode, decode_rows, row_ranges
from mlpress.fit.aside import array_aside
from mlpress.fit.kmeans import kmeans_groups
from mlpress.fit.normalized import Normalized, Piece, normalize
from mlpress.fit.tables import check_finite
from mlpress.recipe import Palettize

Array = npt.NDArray[Any]


def fit_scaled(
    stage: Palettize, leaf: Dense | Sparse, output_axis: int, blocks: Blocks
) -> tuple[Array, Array, npt.NDArray[np.uint8]]:
    """Fits tables to ``values / scale`` and scales to the tables.

    Scales start at each channel's largest magnitude. Clusters are weighted by the squares of the scales, so
    that the error of the weight itself is least; then each channel's scale is fitted to its clusters once
    more, and kept where that lowers its error.

    Args:
        stage: Number of entries.
        leaf: float16 or float32, any shape; those that a sparse one keeps count.
        output_axis: Axis of the output channels.
        blocks: Groups that share a table.

    Returns:
        Scales, of the rank and dtype of `leaf` and size 1 on every axis but the output axis, 0 for a channel
        of zeros; entries [groups, E, 1]; and indices of the shape of `leaf`, anything where it keeps nothing.

    Raises:
        NonFiniteWeightError: A value is NaN or infinite.
    """
    assert stage.nbits is not None
    check_finite(leaf.values.numpy())
    mask = leaf.mask if isinstance(leaf, Sparse) else None
    source: Encoding = leaf if isinstance(leaf, Dense) else Scatter(leaf)
    if mask is not None and (output_axis or blocks.count > blocks.counts[0]):
        # Each range of its channels is in all rows.
        source = Dense(Tensor.from_numpy(array_aside(decode(source), mask.size)))
    weight = Normalized(source, mask, _largest(source, output_axis), blocks)
    rows = map(weight.distinct, range(blocks.count))
    tables = [kmeans_groups(row[None], 1 << stage.nbits, weights=counts[None]).table for row, counts in rows]
    entries = np.concatenate(tables)
    scale = weight.scale.copy()
    indices = np.empty(leaf.shape, np.uint8)
    for piece in weight.pieces():
        scale[weight.over(piece)], indices[piece.where] = _refit(weight, piece, entries[piece.groups])
    return scale, entries[..., None], indices


def _largest(source: Encoding, output_axis: int) -> Array:
    """Returns the largest magnitude of each channel; size 1 on all other axes."""
    parts = [_largest_of(decode_rows(source, *rows), output_axis) for rows in row_ranges(source)]
    found: Array = np.concatenate(parts) if output_axis == 0 else np.max(parts, axis=0)
    return found


def _largest_of(values: Array, output_axis: int) -> Array:
    others = tuple(axis for axis in range(values.ndim) if axis != output_axis)
    if values.dtype != np.float16:
        least, most = (find(values, others, keepdims=True) for find in (np.min, np.max))
        largest: Array = np.maximum(-least, most)
        return largest
    # The bits of finite numbers are ordered as these are, and far faster to compare: as int16 the positive
    # ones, as uint16 the negative ones, which have the topmost bit.
    above = values.view(np.int16).max(axis=others, keepdims=True).clip(min=0).astype(np.uint16)
    below = values.view(np.uint16).max(axis=others, keepdims=True).clip(min=0x8000) - np.uint16(0x8000)
    bits: Array = np.maximum(above, below).astype(np.uint16)
    return bits.view(np.float16)


@np.errstate(over="ignore", invalid="ignore", divide="ignore")  # a scale that overflows is not taken
def _refit(weight: Normalized, piece: Piece, entries: Array) -> tuple[Array, npt.NDArray[np.uint8]]:
    """Returns scales and indices of a piece.

    All is computed in units of each channel's first scale, where nothing overflows.
    """
    values, mask = weight.part(piece.where)
    scale, kept = weight.scale_of(piece), np.ones(1, np.uint8) if mask is None else mask
    unit = scale.astype(np.float32)
    others = tuple(axis for axis, size in enumerate(scale.shape) if size == 1)
    target = normalize(values.astype(np.float32), unit)

    def assigned(ratio: Array) -> tuple[npt.NDArray[np.uint8], Array]:
        rows = np.ascontiguousarray(piece.blocks.rows(normalize(target, ratio)))
        indices = kernels.nearest_rows(rows, entries)
        tables = entries.astype(np.float32)
        found = np.stack([kernels.lookup(*pair) for pair in zip(indices, tables, strict=True)])
        return piece.blocks.unrows(indices), piece.blocks.unrows(found)

    def error(found: Array, scales: Array) -> Array:
        decoded = (found * scales.astype(np.float32)).astype(scales.dtype).astype(np.float32)
        squares: Array = (np.square(decoded / unit - target) * kept).sum(axis=others, keepdims=True)
        return squares

    indices, before = assigned(np.ones_like(unit))
    products = (target * before * kept).sum(axis=others, keepdims=True)
    squares = (np.square(before) * kept).sum(axis=others, keepdims=True)
    fitted = (products / squares * unit).astype(scale.dtype)
    fitted = np.where(np.isfinite(fitted) & (fitted > 0), fitted, scale)
    nearest, after = assigned(np.where(unit == 0, 1, fitted / unit))
    better = error(after, fitted) < error(before, scale)
    return np.where(better, fitted, scale), np.where(better, nearest, indices)
