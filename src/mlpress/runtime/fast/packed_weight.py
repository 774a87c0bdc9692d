"""Weights that are multiplied as they are stored."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from mlpress.bits import INT4, INT8, UINT4, UINT8, Tensor
from mlpress.encoding import Affine, Dense, Encoding, Lut, decode
from mlpress.kernels import encoded
from mlpress.kernels.encoded import PackedWeight

_UNSIGNED_MIDDLE: Final = 128
"""What offsets of uint8 are stored less by, to be int8."""


def packed_weight(encoding: Encoding) -> PackedWeight | None:
    """Returns a weight for `mlpress.kernels.encoded`, or None if it is not stored so.

    It is [n, k], maybe with axes of one element behind, and is so stored if it was palettized to less
    than 8 bits, with tables of numbers for all columns, or quantized to 4 or 8 bits. The bytes of its
    elements are not copied.
    """
    if len(encoding.shape) < 2 or any(size != 1 for size in encoding.shape[2:]) or encoding.masked:
        return None
    scale = offset = None
    elements = encoding
    if isinstance(encoding, Affine):
        elements, scale, offset = encoding.data, encoding.scale, encoding.offset
    match elements:
        case Dense(values) if scale is not None and values.dtype in _INTEGERS:
            return _packed(values, _integer_table(values), scale, offset)
        case Lut(Dense(values), table, None) if (
            values.dtype.bits < 8 and table.shape[1] == 1 and offset is None
        ):
            return _packed(values, _tables(table), scale, None)
        case _:
            return None


_INTEGERS: Final = (INT4, UINT4, INT8, UINT8)


def _packed(
    values: Tensor, tables: npt.NDArray[np.float32] | None, scale: Encoding | None, offset: Encoding | None
) -> PackedWeight | None:
    n, k = values.shape[:2]
    block = k if scale is None else k // scale.shape[1]
    if not encoded.fits(values.dtype.bits, k, block):
        return None
    base = _UNSIGNED_MIDDLE if values.dtype == UINT8 else 0
    low = None if offset is None else (decode(offset).astype(np.int16) - base).astype(np.int8)
    return PackedWeight(
        data=np.frombuffer(values.buffer, np.uint8),
        bits=values.dtype.bits,
        signed=values.dtype.kind == "int",
        tables=tables,
        scale=None if scale is None else _each_row(decode(scale), n),
        offset=None if low is None else _each_row(low, n),
        offset_base=base,
        shape=(n, k),
        block=block,
    )


def _integer_table(values: Tensor) -> npt.NDArray[np.float32] | None:
    """Returns what the elements stand for, in the order of their bits."""
    if values.dtype.bits == 8:
        return None
    numbers = np.arange(1 << values.dtype.bits, dtype=np.float32)
    if values.dtype.kind == "int":
        numbers[len(numbers) // 2 :] -= len(numbers)
    return numbers[None]


def _tables(table: Encoding) -> npt.NDArray[np.float32]:
    """Returns tables, those of less than 16 entries repeated to 16."""
    entries = decode(table).astype(np.float32).reshape(table.shape[0], -1)
    return np.ascontiguousarray(np.tile(entries, (1, max(1, 16 // entries.shape[1]))))


def _each_row(parameters: npt.NDArray[Any], n: int) -> npt.NDArray[Any]:
    """Returns parameters [rows or groups of them, blocks] for each of `n` rows, one axis."""
    if len(parameters) < n:
        parameters = np.repeat(parameters, n // len(parameters), axis=0)
    return np.ascontiguousarray(parameters).reshape(-1)
