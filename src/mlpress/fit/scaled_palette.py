"""Tables for weights divided by one scale per output channel."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from mlpress.encoding import Blocks
from mlpress.fit.kmeans import kmeans_groups
from mlpress.fit.tables import Tables, check_finite
from mlpress.recipe import Palettize

Array = npt.NDArray[Any]


def fit_scaled(
    stage: Palettize, values: Array, mask: Array | None, output_axis: int, blocks: Blocks
) -> tuple[Array, Tables]:
    """Fits tables to ``values / scale`` and scales to the tables.

    Scales start at each channel's largest magnitude. Clusters are weighted by the squares of the scales, so
    that the error of the weight itself is least; then each channel's scale is fitted to its clusters once
    more, and kept where that lowers its error.

    Args:
        stage: Number of entries.
        values: float16 or float32, any shape.
        mask: uint8 of the same shape, 1 for those that count; None for all.
        output_axis: Axis of the output channels.
        blocks: Groups that share a table.

    Returns:
        Scales, of the rank and dtype of `values` and size 1 on every axis but the output axis, and the
        tables.

    Raises:
        NonFiniteWeightError: A value is NaN or infinite.
    """
    assert stage.nbits is not None
    check_finite(values)
    others = tuple(axis for axis in range(values.ndim) if axis != output_axis)
    wide = values.astype(np.float32)
    scale = np.abs(wide).max(axis=others, keepdims=True)
    scale[scale == 0] = 1
    kept = np.ones(1, np.float32) if mask is None else mask.astype(np.float32)
    weights = np.broadcast_to(np.square(scale) * kept, values.shape)
    found = kmeans_groups(
        np.ascontiguousarray(blocks.rows((wide / scale).astype(values.dtype))),
        1 << stage.nbits,
        weights=np.ascontiguousarray(blocks.rows(weights)),
    )
    entries, indices = found.table, found.indices
    scale, indices = _refit(wide, kept, scale.astype(values.dtype), entries, indices, blocks, others)
    return scale, Tables(entries[..., None], indices)


@np.errstate(over="ignore", invalid="ignore")  # a scale whose values overflow is not taken
def _refit(
    wide: Array,
    kept: Array,
    scale: Array,
    entries: Array,
    indices: Array,
    blocks: Blocks,
    others: tuple[int, ...],
) -> tuple[Array, npt.NDArray[np.uint8]]:
    def error(table_values: Array, scales: Array) -> Array:
        decoded = (table_values * scales.astype(np.float32)).astype(scales.dtype).astype(np.float32)
        squares: Array = (np.square(decoded - wide) * kept).sum(axis=others, keepdims=True)
        return squares

    before = _look_up(entries, indices, blocks)
    products = (wide * before * kept).sum(axis=others, keepdims=True)
    squares = (np.square(before) * kept).sum(axis=others, keepdims=True)
    fitted = np.where((squares > 0) & (products > 0), products / np.maximum(squares, 1e-30), scale).astype(
        scale.dtype
    )
    fitted = np.where(np.isfinite(fitted) & (fitted > 0), fitted, scale)
    nearest = _nearest(entries, np.ascontiguousarray(blocks.rows(wide / fitted.astype(np.float32))))
    after = _look_up(entries, nearest, blocks)
    better = error(after, fitted) < error(before, scale)
    chosen = blocks.rows(np.broadcast_to(better, wide.shape))
    return np.where(better, fitted, scale), np.where(chosen, nearest, indices)


def _look_up(entries: Array, indices: Array, blocks: Blocks) -> Array:
    return blocks.unrows(np.take_along_axis(entries.astype(np.float32), indices.astype(np.intp), axis=1))


def _nearest(entries: Array, rows: Array) -> npt.NDArray[np.uint8]:
    indices = np.empty(rows.shape, np.uint8)
    for group, row in enumerate(rows):
        order = np.argsort(entries[group], kind="stable").astype(np.uint8)
        table = entries[group][order].astype(np.float32)
        indices[group] = order[np.searchsorted((table[1:] + table[:-1]) / 2, row)]
    return indices
