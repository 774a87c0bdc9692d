"""Tables for weights that are quantized already: clusters of integers, weighted by their scales."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from mlpress import kernels
from mlpress.bits import Tensor
from mlpress.encoding import Blocks, Dense, Scatter, Sparse, decode, spread
from mlpress.errors import NotApplicableError
from mlpress.fit.kmeans import kmeans_groups
from mlpress.fit.normalized import squared_ratios
from mlpress.fit.tables import check_finite

Array = npt.NDArray[Any]

_CHUNK = 1 << 16


def fit_integer_groups(
    leaf: Dense | Sparse, scale: Array, blocks: Blocks, size: int
) -> tuple[Array, npt.NDArray[np.uint8]]:
    """Fits a table of integers to each group of quantized values.

    The error that is least is that of the decoded weight: an integer counts by the square of its scale.
    There are at most 256 of them, so all works on histograms.

    Args:
        leaf: int8 or uint8, or integers of fewer bits; those that a sparse one keeps count.
        scale: The rank of `leaf`; each size divides that of `leaf`.
        blocks: Groups of channels of one axis that share a table.
        size: Entries of a table.

    Returns:
        Entries [groups, size, 1], and indices of the shape of `leaf`, anything where it keeps nothing.

    Raises:
        NotApplicableError: A block with a scale of its own lies in two groups.
        NonFiniteWeightError: A scale is NaN or infinite.
    """
    check_finite(scale)
    scale = _align(scale, blocks)
    codes = decode(leaf if isinstance(leaf, Dense) else Scatter(leaf))
    entries = np.zeros((blocks.count, size, 1), codes.dtype)
    weights = _histograms(codes, leaf.mask if isinstance(leaf, Sparse) else None, scale, blocks)
    indices = np.empty(codes.shape, np.uint8)
    for group in range(blocks.count):
        present = np.flatnonzero(weights[group])
        values = present.astype(np.uint8).view(codes.dtype)
        order = np.argsort(values)
        found = kmeans_groups(
            values[order][None], size, weights=weights[group, present[order]][None].astype(np.float32)
        )
        entries[group, :, 0] = found.table[0]
        index_of = np.zeros(256, np.uint8)
        index_of[present[order]] = found.indices[0]
        chosen = blocks.place(group)
        from_codes, to_indices = codes[chosen], indices[chosen]
        for part in _pieces(from_codes.shape):
            piece = np.ascontiguousarray(from_codes[part]).view(np.uint8)
            to_indices[part] = kernels.lookup(piece.reshape(-1), index_of).reshape(piece.shape)
    return entries, indices


def _pieces(shape: tuple[int, ...], together: int = 1) -> Iterator[slice]:
    """Cuts the first axis into ranges of a multiple of so many rows."""
    step = max(_CHUNK * shape[0] // max(math.prod(shape), 1) // together, 1) * together
    for start in range(0, shape[0], step):
        yield slice(start, min(start + step, shape[0]))


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


def _histograms(codes: Array, mask: Tensor | None, scale: Array, blocks: Blocks) -> npt.NDArray[np.float64]:
    """Returns for each group and byte value how much the kept codes with it count, [groups, 256].

    They count by the squares of their scales; only the ratios in a group matter, so these are taken first,
    which keeps the squares of the largest and of the smallest scales in range.
    """
    axis = next((axis for axis, count in enumerate(blocks.counts) if count > 1), 0)
    weights = np.zeros((blocks.count, 256))
    kept = None if mask is None else decode(Dense(mask))
    rows = codes.shape[0]
    each = rows // scale.shape[0] if scale.shape[0] > 1 else 1
    for group in range(blocks.count):
        chosen = blocks.place(group)
        own = scale[Blocks(scale.shape, blocks.counts).place(group)] if scale.shape[axis] > 1 else scale
        squares = squared_ratios(own)
        some = codes[chosen]
        for part in _pieces(some.shape, each):
            piece = np.ascontiguousarray(some[part]).view(np.uint8)
            over = squares[part.start // each : part.stop // each] if len(squares) > 1 else squares
            importance = spread(over, piece.shape)
            if kept is not None:
                importance = importance * kept[chosen][part]
            weights[group] += np.bincount(piece.reshape(-1), importance.reshape(-1), minlength=256)
    return weights
