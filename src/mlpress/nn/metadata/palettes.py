"""Which table entry each value of a palettized parameter is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mlpress.encoding import Blocks, to_vectors
from mlpress.errors import EncodingError
from mlpress.kernels.kmeans import nearest_rows

Array = npt.NDArray[Any]

_CHUNK = 1 << 20  # distances at a time


@dataclass(frozen=True, slots=True)
class Palette:
    """Tables, and what their values are multiplied by.

    Attributes:
        entries: Floats [groups along each axis..., entries, elements of a vector].
        axis: Where the elements of a vector lie; None for scalars.
        scale: Of the parameter's shape, or None.
    """

    entries: Array
    axis: int | None
    scale: Array | None


def find_indices(palette: Palette, values: Array) -> npt.NDArray[np.uint8]:
    """Returns the index of the entry that each value, or vector of values, decodes from.

    Args:
        palette: Tables.
        values: Floats, any shape that the tables' groups divide.

    Returns:
        uint8, the shape of `values`, shorter along the axis of vectors.

    Raises:
        EncodingError: Groups or vectors do not fit the values.
    """
    plain = values
    if palette.scale is not None:
        wide = palette.scale.astype(np.float32)
        with np.errstate(divide="ignore", invalid="ignore"):
            plain = np.where(wide == 0, 0, values.astype(np.float32) / wide)
    if palette.axis is not None:
        return _vectors(palette, plain)
    groups = _blocks(values.shape, palette)
    tables = palette.entries.reshape(groups.count, -1)
    rows = np.ascontiguousarray(groups.rows(plain))
    indices = nearest_rows(rows, tables)
    if palette.scale is not None:
        scale, targets = groups.rows(np.ascontiguousarray(palette.scale)), groups.rows(values)
        _correct(indices, tables, scale, targets)
    return groups.unrows(indices)


def _correct(indices: npt.NDArray[np.uint8], tables: Array, scale: Array, targets: Array) -> None:
    """Looks again for values that their index does not decode to: quotients can round to a neighbour."""
    for row, table, factors, wanted in zip(indices, tables, scale, targets, strict=True):
        wide = table.astype(np.float32)
        wrong = np.flatnonzero((wide[row] * factors).astype(wanted.dtype) != wanted)
        for start in range(0, len(wrong), max(1, _CHUNK // len(table))):
            some = wrong[start : start + max(1, _CHUNK // len(table))]
            decoded = (wide * factors[some, None].astype(np.float32)).astype(wanted.dtype)
            row[some] = np.abs(decoded.astype(np.float64) - wanted[some, None]).argmin(axis=1)


def _vectors(palette: Palette, values: Array) -> npt.NDArray[np.uint8]:
    assert palette.axis is not None
    length = palette.entries.shape[-1]
    if values.shape[palette.axis] % length:
        raise EncodingError(f"vectors of {length} do not divide axis {palette.axis} of shape {values.shape}")
    vectors = to_vectors(values, palette.axis, length)
    groups = _blocks(vectors.shape[:-1], palette)
    rows = Blocks(vectors.shape, (*groups.counts, 1)).rows(vectors).reshape(groups.count, -1, length)
    tables = palette.entries.reshape(groups.count, -1, length).astype(np.float32)
    indices = np.empty(rows.shape[:2], np.uint8)
    step = max(1, _CHUNK // tables[0].size)
    for row, table, out in zip(rows.astype(np.float32), tables, indices, strict=True):
        for start in range(0, len(row), step):
            differences = row[start : start + step, None] - table
            out[start : start + step] = np.square(differences).sum(axis=-1).argmin(axis=1)
    return groups.unrows(indices)


def _blocks(shape: tuple[int, ...], palette: Palette) -> Blocks:
    return Blocks(shape, palette.entries.shape[:-2])
