"""Tables for rows of values: one row of scalars or vectors for each table, by any mode."""

from __future__ import annotations

from collections.abc import Sequence
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

_PIECE = 1 << 16
Rows = npt.NDArray[Any] | Sequence[npt.NDArray[Any]]
"""One array for each of G rows, or one array for all of them."""


@dataclass(frozen=True, slots=True)
class Tables:
    """Tables and what refers to them.

    Attributes:
        entries: [G, E, V], E a power of two; entries past the used ones are zero.
        indices: uint8 [n] for each of the G rows.
    """

    entries: Array
    indices: Rows


def fit_tables(stage: Palettize, rows: Rows, shape: tuple[int, ...] = (-1,)) -> Tables:
    """Fits a table to each row.

    Args:
        stage: Mode and number of entries.
        rows: G arrays [n] of scalars or [n, V] of vectors, floats or integers; n may differ between them.
        shape: Shape in which a custom function sees a row of scalars.

    Raises:
        NotApplicableError: ``unique`` finds more than 256 different values, or a row's table is too large.
        NonFiniteWeightError: A value is NaN or infinite.
        RecipeError: A custom function returns what is no table.
    """
    if stage.mode == "kmeans" and isinstance(rows, np.ndarray) and rows.ndim == 2:
        assert stage.nbits is not None
        found = kmeans_groups(np.ascontiguousarray(rows), 1 << stage.nbits)  # looks for NaN itself
        return Tables(found.table[..., None], found.indices)
    for values in [rows] if isinstance(rows, np.ndarray) else rows:
        check_finite(values)
    fitted = [_fit_row(stage, np.ascontiguousarray(row), shape) for row in rows]
    size = max(len(table) for table, _ in fitted) if stage.nbits is None else 1 << stage.nbits
    entries = np.zeros((len(fitted), _table_size(size), *(rows[0].shape[1:] or (1,))), rows[0].dtype)
    for group, (table, _) in enumerate(fitted):
        entries[group, : len(table)] = table.reshape(len(table), -1)
    return Tables(entries, [indices for _, indices in fitted])


def _fit_row(stage: Palettize, row: Array, shape: tuple[int, ...]) -> tuple[Array, npt.NDArray[np.uint8]]:
    """Returns (entries [e] or [e, V], indices [n]) of one row of kept values."""
    if not len(row):
        return np.zeros((1, *row.shape[1:]), row.dtype), np.zeros(0, np.uint8)
    if stage.mode == "custom":
        return _custom(stage, row, shape if row.ndim == 1 else row.shape)
    if stage.mode == "unique":
        return _unique(row)
    assert stage.nbits is not None
    if stage.mode == "uniform":
        return _uniform(row, 1 << stage.nbits)
    if row.ndim == 1:
        found = kmeans_groups(row[None], 1 << stage.nbits)
        return found.table[0], found.indices[0]
    if row.dtype.kind == "f":
        return kmeans_vectors(row, 1 << stage.nbits)
    # Integers of a byte are float16 numbers; their centroids need more digits.
    centroids, labels = kmeans_vectors(row.astype(np.float16), 1 << stage.nbits, rounded_to=np.float32)
    return np.rint(centroids).astype(row.dtype), labels


def _uniform(row: Array, size: int) -> tuple[Array, npt.NDArray[np.uint8]]:
    """Evenly spaced from the least to the greatest value, both included."""
    least, most = float(row.min()), float(row.max())
    table = np.linspace(least, most, size)
    entries = (table if row.dtype.kind == "f" else np.rint(table)).astype(row.dtype)
    step = (most - least) / (size - 1)
    if step == 0:
        return entries, np.zeros(len(row), np.uint8)
    indices = np.empty(len(row), np.uint8)
    for start in range(0, len(row), _PIECE):
        part = slice(start, start + _PIECE)
        positions = np.rint((row[part].astype(np.float32) - np.float32(least)) / np.float32(step))
        indices[part] = np.clip(positions, 0, size - 1)
    return entries, indices


def _unique(row: Array) -> tuple[Array, npt.NDArray[np.uint8]]:
    entries, inverse = np.unique(row, axis=0, return_inverse=True)
    if len(entries) > 256:
        raise NotApplicableError(f"it has {len(entries)} different values; mode 'unique' takes 256 at most")
    return entries, inverse.reshape(-1).astype(np.uint8)


def _custom(stage: Palettize, row: Array, shape: tuple[int, ...]) -> tuple[Array, npt.NDArray[np.uint8]]:
    assert stage.lut_function is not None
    returned: Any = stage.lut_function(row.reshape(shape))
    if not isinstance(returned, (tuple, list)) or len(returned) != 2:
        raise RecipeError(f"lut_function returned {returned!r}; it has to be a table and indices")
    table, indices = (np.asarray(part) for part in returned)
    wanted = row.shape[1:]
    if not table.ndim or not 1 <= len(table) <= 256 or table.shape[1:] != wanted:
        raise RecipeError(
            f"lut_function returned a table of shape {table.shape}; allowed: 1 to 256 entries of {wanted}"
        )
    entries = _as(table, row.dtype)
    if not np.isfinite(entries).all():
        raise RecipeError(f"lut_function returned a table with entries that are not finite as {row.dtype}")
    indices = indices.reshape(-1)
    if len(indices) != len(row) or not 0 <= indices.min() <= indices.max() < len(table):
        raise RecipeError(
            f"lut_function returned {len(indices)} indices for {len(row)} weights, or one past the table"
        )
    if (indices != indices.astype(np.uint8)).any():
        raise RecipeError("lut_function returned indices that are no integers")
    return entries, indices.astype(np.uint8)


def _as(table: Array, dtype: np.dtype[Any]) -> Array:
    """Returns entries in the type of the weights; integers are rounded, not cut off."""
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            return table.astype(dtype)
    limits = np.iinfo(dtype)
    rounded: Array = np.clip(np.rint(table), limits.min, limits.max).astype(dtype)
    return rounded


def _table_size(entries: int) -> int:
    return next(1 << bits for bits in NBITS if entries <= 1 << bits)


def check_finite(values: Array) -> None:
    """Raises NonFiniteWeightError if any of `values` (floats or integers of a byte) is NaN or infinite."""
    bad = count_nonfinite(values)
    if bad:
        raise NonFiniteWeightError(f"{bad} of {values.size} values are NaN or infinite")
