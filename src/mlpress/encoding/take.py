"""Some rows of an encoding, still encoded."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from mlpress.bits import Tensor
from mlpress.encoding.nodes import Affine, Dense, Encoding, Lut, Scatter, Sparse

Rows = npt.NDArray[np.integer[Any]]


def take_rows(encoding: Encoding, rows: Rows) -> Encoding | None:
    """Returns an encoding of ``decode(encoding)[rows]`` without reading any other row.

    Args:
        encoding: Has at least one axis.
        rows: Numbers of rows [count], from 0 on, in any order.

    Returns:
        The encoding, or None where rows cannot be read alone: those of a sparse encoding, of vectors along
        axis 0, and such as do not take whole bytes.
    """
    match encoding:
        case Dense(values):
            taken = _taken(values, rows)
            return None if taken is None else Dense(taken)
        case Affine(data, scale, offset):
            parts = [take_rows(data, rows), _parameters(scale, data, rows)]
            if offset is not None:
                parts.append(_parameters(offset, data, rows))
            present = [part for part in parts if part is not None]
            return Affine(*present) if len(present) == len(parts) else None
        case Lut(indices, table, axis) if axis != 0:
            taken_indices, tables = take_rows(indices, rows), _parameters(table, indices, rows)
            return None if taken_indices is None or tables is None else Lut(taken_indices, tables, axis)
        case Lut() | Sparse() | Scatter():
            return None


def _parameters(parameters: Encoding, data: Encoding, rows: Rows) -> Encoding | None:
    """Returns the scales, offsets or tables that serve `rows` of `data`."""
    if parameters.shape[0] == 1:
        return parameters
    own = rows // (data.shape[0] // parameters.shape[0])
    if isinstance(parameters, Dense):  # few: they can be unpacked, whatever bits a row takes
        dtype = parameters.dtype
        return Dense(Tensor.from_numpy(parameters.values.numpy()[own], dtype))
    return take_rows(parameters, own)


def _taken(values: Tensor, rows: Rows) -> Tensor | None:
    shape = (len(rows), *values.shape[1:])
    if not values.dtype.is_packed:
        return Tensor.from_numpy(values.numpy()[rows], values.dtype)
    bits = values.size // values.shape[0] * values.dtype.bits
    if bits % 8:
        return None
    each_row = np.frombuffer(values.buffer, np.uint8).reshape(values.shape[0], bits // 8)
    return Tensor(values.dtype, shape, each_row[rows].tobytes())
