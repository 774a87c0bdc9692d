"""Integer tables for weights divided by one scale per channel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mlpress.bits import Tensor
from mlpress.encoding import Blocks, Dense
from mlpress.fit.integer_search import Entries, Grid, Row
from mlpress.fit.integer_table import assign, find_grid, tables_on_grid
from mlpress.fit.normalized import Normalized, Piece, normalize
from mlpress.fit.tables import check_finite

Array = npt.NDArray[Any]


class ScaledIntegers(NamedTuple):
    """Integer tables with a scale for each channel.

    Attributes:
        table: int8 or uint8 [G, k]; unused entries equal the offset.
        scale: Not negative, 0 for a channel of scale 0.
        offset: The entry that decodes to 0.
        indices: uint8, of the shape of the weight.
    """

    table: Array
    scale: Array
    offset: int
    indices: npt.NDArray[np.uint8]


def fit_scaled_integers(
    entries: Entries, offset: int | None, reference: Array, mask: Tensor | None, scale: Array, blocks: Blocks
) -> ScaledIntegers:
    """Fits integer tables to a weight that has scales, and puts the scale of the tables into these.

    Their product is rounded first, and coarsely where the weights are small: below 6e-5 float16 has steps of
    6e-8 only. So the table is fitted to the weight divided by the rounded product.

    Args:
        entries: What tables may hold.
        offset: The entry that decodes to 0; None is searched too.
        reference: float16 or float32, any shape, finite.
        mask: uint1 of the same shape, 1 for those that count; None for all.
        scale: Of the same rank; each size divides that of `reference`.
        blocks: Groups that share a table.

    Raises:
        NonFiniteWeightError: A scale is NaN or infinite.
    """
    check_finite(scale)
    source = Dense(Tensor.from_numpy(reference))
    normal = Normalized(source, mask, _spread(np.abs(scale), reference.shape), blocks)
    grid = find_grid(_rows(normal), blocks.count, reference.dtype, entries, offset, _ends(normal))
    product = _product(scale, grid.scale)
    grid = Grid(reference.dtype.type(1), grid.offset)
    units = Normalized(source, mask, _spread(product, reference.shape), blocks)
    table, decoded = tables_on_grid(_rows(units), blocks.count, entries, grid)
    if _coarse(product) and units.scale.shape == product.shape:
        product = _better_neighbours(units, decoded)
        units = Normalized(source, mask, product, blocks)
        table, decoded = tables_on_grid(_rows(units), blocks.count, entries, grid)
    indices = np.empty(reference.shape, np.uint8)
    for piece in units.pieces():
        rows = _nearest(piece, units.part(piece.where)[0], units.scale_of(piece), decoded)
        indices[piece.where] = piece.blocks.unrows(np.stack(rows))
    return ScaledIntegers(table, product, grid.offset, indices)


def _rows(weight: Normalized) -> Callable[[int], Row]:
    return lambda group: Row.of(*weight.distinct(group))


def _ends(weight: Normalized) -> list[float]:
    """Returns the least and the largest normalized value of each piece."""
    pairs = ((weight.part(piece.where)[0], weight.scale_of(piece)) for piece in weight.pieces())
    parts = (normalize(values.astype(np.float32), scale) for values, scale in pairs)
    return [float(end(part)) for part in parts for end in (np.min, np.max)]


def _nearest(piece: Piece, values: Array, scale: Array, decoded: list[Array]) -> list[npt.NDArray[np.uint8]]:
    """Returns indices for each of the groups in a piece."""
    rows = piece.blocks.rows(normalize(values, scale))
    return [assign(row, decoded[group]) for row, group in zip(rows, piece.groups, strict=True)]


def _product(scale: Array, step: np.floating[Any]) -> Array:
    """Returns ``scale * step`` in the dtype of the scales, 0 where a scale is 0 and nowhere else."""
    limits = np.finfo(scale.dtype)
    exact = np.abs(scale).astype(np.float64) * float(step)
    least, most = float(limits.smallest_subnormal), float(limits.max)
    product: Array = np.where(scale == 0, 0, np.clip(exact, least, most)).astype(scale.dtype)
    return product


def _coarse(product: Array) -> bool:
    """Whether scales are so small that their rounding changes some by up to a percent or more."""
    coarse = product < 64 * float(np.finfo(product.dtype).smallest_subnormal)
    return bool((coarse & (product > 0)).any())


def _better_neighbours(weight: Normalized, decoded: list[Array]) -> Array:
    """Returns for each channel the scale, or its neighbour, that serves the tables best."""
    limits = np.finfo(weight.scale.dtype)
    chosen = weight.scale.copy()
    others = tuple(axis for axis, size in enumerate(chosen.shape) if size == 1)
    for piece in weight.pieces():
        values, mask = weight.part(piece.where)
        scale, kept = weight.scale_of(piece), np.ones(1, np.uint8) if mask is None else mask
        larger = np.nextafter(scale, limits.max)
        smaller = np.maximum(np.nextafter(scale, -limits.max), limits.smallest_subnormal)
        tried = np.where(scale == 0, 0, [scale, larger, smaller]).astype(scale.dtype)
        errors = []
        for some in tried:
            indices = _nearest(piece, values, some, decoded)
            found = [decoded[group][own] for own, group in zip(indices, piece.groups, strict=True)]
            result = piece.blocks.unrows(np.stack(found)).astype(np.float64) * some
            errors.append((np.square(result - values) * kept).sum(axis=others, keepdims=True))
        best = np.argmin(errors, axis=0)
        chosen[weight.over(piece)] = np.take_along_axis(tried, best[None], axis=0)[0]
    return chosen


def _spread(scale: Array, shape: tuple[int, ...]) -> Array:
    """Repeats scales of blocks until each axis has one scale or one for each element."""
    for axis, (own, size) in enumerate(zip(scale.shape, shape, strict=True)):
        if own > 1:
            scale = np.repeat(scale, size // own, axis=axis)
    return scale
