"""Tables for rows of values: one row of scalars or vectors for each table, by any mode."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mlpress.errors import NonFiniteWeightError, NotApplicableError, RecipeError
from mlpress.fit.kmeans import kmeans_groups
from mlpress.fit.vectors import kmeans_vectors
from mlpress.kernels.kmeans import count_nonfinite
from mlpress.recipe import NBITS, Palettize

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Tables:
    """Tables and what refers to them.

    Attributes:
        entries: [G, E, V], E a power of two; entries past the used ones are zero.
        indices: uint8 [G, n]; anything where a value is not kept.
    """

    entries: Array
    indices: npt.NDArray[np.uint8]


def fit_tables(stage: Palettize, rows: Array, kept: npt.NDArray[np.bool_] | None) -> Tables:
    """Fits a table to each row.

    Args:
        stage: Mode and number of entries.
        rows: [G, n] scalars or [G, n, V] vectors, floats or integers.
        kept: [G, n], which of them count; None for all.

    Raises:
        NotApplicableError: ``unique`` finds more than 256 different values, or a row's table is too large.
        NonFiniteWeightError: A value is NaN or infinite.
        RecipeError: A custom function returns what is no table.
    """
    check_finite(rows)
    vector = rows.ndim == 3
    if stage.mode == "kmeans" and not vector and kept is None:
        assert stage.nbits is not None
        found = kmeans_groups(np.ascontiguousarray(rows), 1 << stage.nbits)
        return Tables(found.table[..., None], found.indices)
    fitted = [_fit_row(stage, row) for row in _kept_rows(rows, kept)]
    size = max(len(entries) for entries, _ in fitted) if stage.nbits is None else 1 << stage.nbits
    entries = np.zeros((len(fitted), _table_size(size), rows.shape[2] if vector else 1), rows.dtype)
    indices = np.zeros(rows.shape[:2], np.uint8)
    for group, (table, found_indices) in enumerate(fitted):
        entries[group, : len(table)] = table.reshape(len(table), -1)
        indices[group, slice(None) if kept is None else kept[group]] = found_indices
    return Tables(entries, indices)


def _kept_rows(rows: Array, kept: npt.NDArray[np.bool_] | None) -> Iterator[Array]:
    for group, row in enumerate(rows):
        yield np.ascontiguousarray(row if kept is None else row[kept[group]])


def _fit_row(stage: Palettize, row: Array) -> tuple[Array, npt.NDArray[np.uint8]]:
    """Returns (entries [e] or [e, V], indices [n]) of one row of kept values."""
    if stage.mode == "custom":
        return _custom(stage, row)
    if not len(row):
        return np.zeros((1, *row.shape[1:]), row.dtype), np.zeros(0, np.uint8)
    if stage.mode == "unique":
        return _unique(row)
    assert stage.nbits is not None
    if stage.mode == "uniform":
        return _uniform(row, 1 << stage.nbits)
    if row.ndim == 1:
        found = kmeans_groups(row[None], 1 << stage.nbits)
        return found.table[0], found.indices[0]
    points = row if row.dtype.kind == "f" else row.astype(np.float32)
    centroids, labels = kmeans_vectors(points, 1 << stage.nbits)
    return (centroids if row.dtype.kind == "f" else np.rint(centroids).astype(row.dtype)), labels


def _uniform(row: Array, size: int) -> tuple[Array, npt.NDArray[np.uint8]]:
    """Evenly spaced from the least to the greatest value, both included."""
    least, most = float(row.min()), float(row.max())
    table = np.linspace(least, most, size)
    entries = (table if row.dtype.kind == "f" else np.rint(table)).astype(row.dtype)
    step = (most - least) / (size - 1)
    if step == 0:
        return entries, np.zeros(len(row), np.uint8)
    positions = np.rint((row.astype(np.float32) - np.float32(least)) / np.float32(step))
    return entries, np.clip(positions, 0, size - 1).astype(np.uint8)


def _unique(row: Array) -> tuple[Array, npt.NDArray[np.uint8]]:
    entries, inverse = np.unique(row, axis=0, return_inverse=True)
    if len(entries) > 256:
        raise NotApplicableError(f"it has {len(entries)} different values; mode 'unique' takes 256 at most")
    return entries, inverse.reshape(-1).astype(np.uint8)


def _custom(stage: Palettize, row: Array) -> tuple[Array, npt.NDArray[np.uint8]]:
    assert stage.lut_function is not None
    table, indices = (np.asarray(part) for part in stage.lut_function(row))
    wanted = row.shape[1:]
    if not 1 <= len(table) <= 256 or (table.shape[1:] or ()) != wanted:
        raise RecipeError(
            f"lut_function returned a table of shape {table.shape}; allowed: 1 to 256 entries of {wanted}"
        )
    indices = indices.reshape(-1)
    if len(indices) != len(row) or (len(row) and not 0 <= indices.min() <= indices.max() < len(table)):
        raise RecipeError(
            f"lut_function returned {len(indices)} indices for {len(row)} weights, or one past the table"
        )
    return table.astype(row.dtype), indices.astype(np.uint8)


def _table_size(entries: int) -> int:
    return next(1 << bits for bits in NBITS if entries <= 1 << bits)


def check_finite(values: Array) -> None:
    """Raises NonFiniteWeightError if any of `values` (floats or integers of a byte) is NaN or infinite."""
    bad = count_nonfinite(values)
    if bad:
        raise NonFiniteWeightError(f"{bad} of {values.size} values are NaN or infinite")
