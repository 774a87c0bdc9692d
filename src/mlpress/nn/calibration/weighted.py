"""Palettization by k-means in which each weight's squared error counts by its importance."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from mlpress.bits import UINT8, Tensor, unsigned
from mlpress.encoding import Affine, Blocks, Dense, Encoding, Lut, Scatter, Sparse, decode, to_vectors
from mlpress.errors import NonFiniteWeightError, NotApplicableError
from mlpress.fit.kmeans import kmeans_groups
from mlpress.fit.vectors import kmeans_vectors
from mlpress.kernels.kmeans import nearest_rows
from mlpress.nn.leaves import dense, leaf
from mlpress.recipe import Palettize, Quantize

Array = npt.NDArray[Any]

# Sensitivities are uneven, so that optima differ more than those of plain k-means do.
_STARTS = 8
_FEW = 1 << 24  # distances
_PASSES, _TOLERANCE = 100, 1e-5


def palettize_weighted(
    stage: Palettize, table: Quantize | None, encoding: Encoding, importance: Array, output_axis: int
) -> Encoding:
    """Palettizes a weight with the table of least weighted squared error.

    Args:
        stage: Number of entries, groups, vectors and scales.
        table: Integer type of the table, or None for floats.
        encoding: Floats, pruned or not: of a pruned weight only what is left counts.
        importance: Floats of the weight's shape, finite and none negative.
        output_axis: Axis of the channels that can have a scale.

    Raises:
        NonFiniteWeightError: The weight holds NaN or infinity.
        NotApplicableError: It is not stored as floats, or groups or vectors do not fit it.
    """
    source = encoding.source if isinstance(encoding, Scatter) else encoding
    if not isinstance(source, (Dense, Sparse)) or not source.dtype.is_float:
        raise NotApplicableError("it is quantized or palettized already")
    values = decode(encoding)
    if not np.isfinite(values).all():
        raise NonFiniteWeightError("it holds NaN or infinity")
    mask = source.mask.numpy().view(np.bool_) if isinstance(source, Sparse) else None
    masses = importance.astype(np.float32) if mask is None else importance.astype(np.float32) * mask
    scale = _largest(values, output_axis) if stage.per_channel_scale else None
    if scale is not None:
        # Errors of the weight itself are those of the quotients times the scale.
        values, masses = values / scale, masses * np.square(scale.astype(np.float32))
    groups = _Groups(stage, values.shape)
    entries = groups.tables(values, masses, 1 << stage.nbits) if stage.nbits else None
    assert entries is not None
    grid = None if table is None else _on_grid(entries, table)
    indices = groups.nearest(values, entries if grid is None else decode(grid))
    return _tree(groups, indices, dense(entries) if grid is None else grid, mask, scale)


def _tree(
    groups: _Groups, indices: Array, table: Dense | Affine, mask: Array | None, scale: Array | None
) -> Encoding:
    axis = groups.axis if groups.length > 1 else None
    if mask is not None and axis is not None:
        vectors = to_vectors(mask, axis, groups.length)
        if (vectors != vectors[..., :1]).any():
            raise NotApplicableError(f"its mask cuts through vectors of {groups.length} along axis {axis}")
        mask = vectors[..., 0]
    bits = table.shape[-2].bit_length() - 1
    found: Encoding = Lut(leaf(indices, unsigned(bits), mask), table, axis)
    if scale is not None:
        found = Affine(found, dense(scale))
    return found if mask is None else Scatter(found)


class _Groups:
    """Groups of channels that share a table, and the vectors that share an index."""

    def __init__(self, stage: Palettize, shape: tuple[int, ...]) -> None:
        self.axis = stage.channel_axis or 0
        self.length = stage.cluster_dim
        channels = shape[self.axis]
        size = stage.group_size or channels
        if channels % size:
            raise NotApplicableError(
                f"group_size {size} does not divide the {channels} channels of axis {self.axis}"
            )
        if size % self.length:
            raise NotApplicableError(
                f"cluster_dim {self.length} does not divide the {size} channels of a group"
            )
        self.counts = tuple(channels // size if axis == self.axis else 1 for axis in range(len(shape)))

    def _rows(self, array: Array) -> Array:
        """Returns [groups, points, elements]."""
        vectors = to_vectors(array, self.axis, self.length)
        rows = Blocks(vectors.shape, (*self.counts, 1)).rows(np.ascontiguousarray(vectors))
        return rows.reshape(int(np.prod(self.counts)), -1, self.length)

    def tables(self, values: Array, masses: Array, size: int) -> Array:
        """Returns the entries [groups along each axis..., size, elements]."""
        rows, weights = self._rows(values), np.ascontiguousarray(self._rows(masses).sum(axis=-1))
        if self.length == 1:
            found = kmeans_groups(np.ascontiguousarray(rows[..., 0]), size, weights=weights).table[..., None]
        else:
            pairs = zip(rows, weights, strict=True)
            found = np.stack([_cluster(*pair, size) for pair in pairs])
        return found.reshape(*self.counts, size, self.length)

    def nearest(self, values: Array, entries: Array) -> npt.NDArray[np.uint8]:
        """Returns the index of the entry nearest to each value or vector, of the shape of the indices."""
        rows = self._rows(values)
        tables = entries.reshape(len(rows), -1, self.length)
        if self.length == 1:
            found = nearest_rows(np.ascontiguousarray(rows[..., 0]), tables[..., 0])
        else:
            found = np.stack([_nearest(*pair) for pair in zip(rows, tables, strict=True)])
        shape = list(values.shape)
        shape[self.axis] //= self.length
        return Blocks(tuple(shape), self.counts).unrows(found)


def _cluster(points: Array, weights: Array, size: int) -> Array:
    """Returns the best centroids of several starts, which cost little where points are few."""
    points = np.ascontiguousarray(points)
    starts = _STARTS if len(points) * size <= _FEW else 1
    found = [
        kmeans_vectors(points, size, weights=weights, seed=seed, passes=_PASSES, tolerance=_TOLERANCE)
        for seed in range(starts)
    ]
    errors = [
        float((np.square(points - table[labels]).sum(axis=1, dtype=np.float64) * weights).sum())
        for table, labels in found
    ]
    return found[int(np.argmin(errors))][0]


def _nearest(points: Array, table: Array) -> npt.NDArray[np.uint8]:
    step = max(1, (1 << 20) // table.size)
    parts = [points[start : start + step, None] for start in range(0, len(points), step)]
    found = [np.square(part.astype(np.float32) - table).sum(axis=-1).argmin(axis=1) for part in parts]
    return np.concatenate(found).astype(np.uint8)


def _on_grid(entries: Array, table: Quantize) -> Affine:
    """Returns the entries as integers with one scale."""
    largest = np.abs(entries).max()
    levels = table.high - table.middle
    scale = np.full((1,) * entries.ndim, largest / levels if largest else 1, entries.dtype)
    codes = np.rint(entries / scale).clip(-levels, levels) + table.middle
    stored = Tensor.from_numpy(codes.astype(table.storage))
    if stored.dtype != UINT8:
        return Affine(Dense(stored), dense(scale))
    return Affine(Dense(stored), dense(scale), dense(np.full(scale.shape, table.middle, np.uint8)))


def _largest(values: Array, axis: int) -> Array:
    """Returns the largest magnitude of each channel; 1 for channels of zeros."""
    others = tuple(each for each in range(values.ndim) if each != axis)
    largest = np.abs(values).max(axis=others, keepdims=True)
    scale: Array = np.where(largest > 0, largest, np.ones_like(largest))
    return scale
