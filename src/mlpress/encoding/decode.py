"""From an encoding to the dense values that it stands for."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from mlpress import kernels
from mlpress.bits import Tensor
from mlpress.encoding.blocks import Blocks, from_vectors
from mlpress.encoding.nodes import Affine, Dense, Encoding, Lut, Scatter, Sparse
from mlpress.errors import EncodingError
from mlpress.kernels.affine import dequantize

Array = npt.NDArray[Any]


def decode(encoding: Encoding) -> Array:
    """Returns the dense tensor, shape ``encoding.shape``; sub-byte integers come as int8 or uint8.

    Bit for bit what Core ML's constexpr operators define: affine arithmetic in float32, rounded to the
    scale's dtype.

    Args:
        encoding: Any tree that is not masked.

    Raises:
        EncodingError: The encoding is masked, or a mask does not have as many ones as there are values.
    """
    if encoding.masked:
        raise EncodingError("a masked encoding has no dense values; wrap it in Scatter or use decode_masked")
    return _dense(encoding)


def decode_masked(encoding: Encoding) -> tuple[Array, Array]:
    """Returns (mask, values) of a masked encoding: uint8 of the dense shape, and the kept values [D].

    Raises:
        EncodingError: The encoding is not masked, or its mask and values disagree.
    """
    mask = _mask(encoding)
    return mask, _dense(encoding)[mask.view(np.bool_)]


def _dense(encoding: Encoding) -> Array:
    """Dense values; where a masked encoding has no value, anything."""
    match encoding:
        case Dense(values):
            return values.numpy()
        case Sparse(mask, values):
            return _scatter(mask, values.numpy())
        case Affine(data, scale, offset):
            return _affine(_dense(data), decode(scale), None if offset is None else decode(offset))
        case Lut(indices, table, vector_axis):
            return _look_up(_dense(indices), decode(table), vector_axis)
        case Scatter(Sparse() as source):
            return _dense(source)
        case Scatter(source):
            kept = _mask(source).view(np.bool_)
            return np.where(kept, _dense(source), source.dtype.storage.type(0))


def _mask(encoding: Encoding) -> Array:
    match encoding:
        case Sparse(mask):
            return mask.numpy()
        case Affine(data):
            return _mask(data)
        case Lut(indices, _, vector_axis):
            kept = _mask(indices)
            return kept if vector_axis is None else np.repeat(kept, encoding.vector_size, axis=vector_axis)
        case _:
            raise EncodingError(f"{type(encoding).__name__} is not masked")


def _scatter(mask: Tensor, values: Array) -> Array:
    packed = np.frombuffer(mask.buffer, np.uint8)
    ones = kernels.popcount(packed)
    if ones != values.size:
        raise EncodingError(f"the mask has {ones} ones for {values.size} values")
    return kernels.scatter_mask(values, packed, mask.size).reshape(mask.shape)


def _affine(data: Array, scale: Array, offset: Array | None) -> Array:
    blocks = Blocks(data.shape, scale.shape) if data.size else None
    if blocks is None:
        return data.astype(scale.dtype)
    rows = np.ascontiguousarray(blocks.rows(data))
    if data.dtype.itemsize == 1 and (offset is None or offset.dtype == data.dtype):
        zero_point = np.zeros(scale.size, np.int32) if offset is None else offset.reshape(-1).astype(np.int32)
        return blocks.unrows(dequantize(rows, np.ascontiguousarray(scale.reshape(-1)), zero_point))
    wide = rows.astype(np.float32)
    if offset is not None:
        wide -= offset.reshape(-1, 1).astype(np.float32)
    wide *= scale.reshape(-1, 1)
    return blocks.unrows(wide.astype(scale.dtype))


def _look_up(indices: Array, table: Array, vector_axis: int | None) -> Array:
    groups = table.shape[:-2]
    if not indices.size:
        shape = list(indices.shape)
        if vector_axis is not None:
            shape[vector_axis] *= table.shape[-1]
        return np.zeros(shape, table.dtype)
    blocks = Blocks(indices.shape, groups)
    rows = blocks.rows(indices)
    tables = table.reshape(-1, *table.shape[-2:])
    if vector_axis is None:
        found = np.stack(
            [kernels.lookup(row, entries) for row, entries in zip(rows, tables[..., 0], strict=True)]
        )
        return blocks.unrows(found)
    vectors = np.stack([entries[row] for row, entries in zip(rows, tables, strict=True)])
    elements = [blocks.unrows(np.ascontiguousarray(vectors[..., v])) for v in range(table.shape[-1])]
    return from_vectors(np.stack(elements, axis=-1), vector_axis)
