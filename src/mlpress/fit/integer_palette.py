"""Tables for weights that are quantized already: clusters of integers, weighted by their scales."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from mlpress import kernels
from mlpress.encoding import Blocks
from mlpress.errors import NotApplicableError
from mlpress.fit.kmeans import kmeans_groups
from mlpress.fit.normalized import squared_ratios
from mlpress.fit.tables import Tables, check_finite

Array = npt.NDArray[Any]

_CHUNK = 1 << 16


def fit_integer_groups(codes: Array, mask: Array | None, scale: Array, blocks: Blocks, size: int) -> Tables:
    """Fits a table of integers to each group of quantized values.

    The error that is least is that of the decoded weight: an integer counts by the square of its scale.
    There are at most 256 of them, so all works on histograms.

    Args:
        codes: int8 or uint8, any shape.
        mask: uint8 of the same shape, 1 for those that count; None for all.
        scale: The rank of `codes`; each size divides that of `codes`.
        blocks: Groups that share a table.
        size: Entries of a table.

    Raises:
        NotApplicableError: A block with a scale of its own lies in two groups.
        NonFiniteWeightError: A scale is NaN or infinite.
    """
    check_finite(scale)
    scale = _align(scale, blocks)
    kept = None if mask is None else mask.view(np.bool_)
    entries = np.zeros((blocks.count, size, 1), codes.dtype)
    rows = np.ascontiguousarray(blocks.rows(codes))
    indices = np.empty(rows.shape, np.uint8)
    axis = next((axis for axis, count in enumerate(blocks.counts) if count > 1), 0)
    for group in range(blocks.count):
        chosen = _slice(group, blocks, blocks.shape, axis)
        group_scale = scale[_slice(group, blocks, scale.shape, axis)] if scale.shape[axis] > 1 else scale
        weights = _histogram(codes[chosen], None if kept is None else kept[chosen], group_scale)
        present = np.flatnonzero(weights)
        values = present.astype(np.uint8).view(codes.dtype)
        order = np.argsort(values)
        found = kmeans_groups(
            values[order][None], size, weights=weights[present[order]][None].astype(np.float32)
        )
        entries[group, :, 0] = found.table[0]
        index_of = np.zeros(256, np.uint8)
        index_of[present[order]] = found.indices[0]
        for start in range(0, rows.shape[1], _CHUNK):
            part = slice(start, start + _CHUNK)
            indices[group, part] = kernels.lookup(rows[group, part].view(np.uint8), index_of)
    return Tables(entries, indices)


def _align(scale: Array, blocks: Blocks) -> Array:
    """Repeats scales along the group axis where several groups share one."""
    for axis, count in enumerate(blocks.counts):
        own = scale.shape[axis]
        if count > 1 and own > 1 and own % count:
            if count % own:
                raise NotApplicableError(
                    f"its {own} scales along axis {axis} do not line up with {count} groups"
                )
            scale = np.repeat(scale, count // own, axis=axis)
    return scale


def _slice(group: int, blocks: Blocks, shape: tuple[int, ...], axis: int) -> tuple[slice, ...]:
    size = shape[axis] // blocks.counts[axis]
    return (slice(None),) * axis + (slice(group * size, (group + 1) * size),)


def _histogram(codes: Array, kept: npt.NDArray[np.bool_] | None, scale: Array) -> npt.NDArray[np.float64]:
    """Returns for each byte value how much the kept codes with it count, [256].

    They count by the squares of their scales; only the ratios matter, so these are taken first, which keeps
    the squares of the largest and of the smallest scales in range.
    """
    blocks = Blocks(codes.shape, scale.shape)
    rows = np.ascontiguousarray(blocks.rows(codes)).view(np.uint8)
    kept_rows = None if kept is None else blocks.rows(kept)
    squares = squared_ratios(scale.reshape(-1))
    weights = np.zeros(256)
    for start in range(0, rows.size, _CHUNK):
        part = rows.reshape(-1)[start : start + _CHUNK]
        importance = squares[np.arange(start, start + part.size) // rows.shape[1]]
        if kept_rows is not None:
            chosen = kept_rows.reshape(-1)[start : start + _CHUNK]
            part, importance = part[chosen], importance[chosen]
        weights += np.bincount(part, importance, minlength=256)
    return weights
