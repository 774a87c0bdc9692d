"""From an encoding to the dense values that it stands for."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from mlpress import kernels
from mlpress.bits import Tensor
from mlpress.encoding.blocks import Blocks, from_vectors
from mlpress.encoding.nodes import Affine, Dense, Encoding, Lut, Scatter, Sparse, size_of
from mlpress.errors import EncodingError
from mlpress.kernels.affine import dequantize

Array = npt.NDArray[Any]

_PART: Final = 1 << 18
"""Elements to decode at a time: few enough for a processor's cache."""

_PARTS: Final = 16
"""Parts of a tensor at most: each part of a sparse one counts the ones before it."""


def decode(encoding: Encoding) -> Array:
    """Returns the dense tensor, shape ``encoding.shape``; sub-byte integers come as int8 or uint8.

    Bit for bit what Core ML's constexpr operators define: affine arithmetic in float32, rounded to the
    scale's dtype.

    Args:
        encoding: Any tree that is not masked.

    Raises:
        EncodingError: The encoding is masked, or a mask does not have as many ones as there are values.
    """
    _require_dense(encoding)
    if isinstance(encoding, Dense):
        return encoding.values.numpy()
    parts = row_ranges(encoding)
    if len(parts) == 1:
        return _dense(encoding, *parts[0])
    dense = np.empty(encoding.shape, encoding.dtype.storage)
    for start, stop in parts:
        dense[start:stop] = _dense(encoding, start, stop)
    return dense


def decode_rows(encoding: Encoding, start: int, stop: int) -> Array:
    """Returns ``decode(encoding)[start:stop]`` without decoding the rest.

    Args:
        encoding: Any tree that is not masked.
        start: First row along axis 0.
        stop: Row after the last; both cut no block and no vector, as those of `row_ranges`.

    Raises:
        EncodingError: As `decode` does.
    """
    _require_dense(encoding)
    return _dense(encoding, start, stop)


def row_ranges(*encodings: Encoding, least: int = _PART, together: int = 1) -> list[tuple[int, int]]:
    """Cuts axis 0 into ranges that cut no block and no vector, so that little memory is needed at a time.

    Args:
        encodings: Any trees of one shape.
        least: About how many elements a range has at least; more for a large tensor, of which there are 16
            ranges at most.
        together: Every range has a multiple of so many rows; divides axis 0.

    Returns:
        (first row, row after the last) of each range.
    """
    size, rows = size_of(encodings[0]), _rows(encodings[0])
    if not size:
        return [(0, rows)]
    together = math.lcm(together, *(_rows_together(encoding) for encoding in encodings))
    wanted = max(least, size // _PARTS) * rows // size
    step = max(wanted // together, 1) * together
    return [(start, min(start + step, rows)) for start in range(0, rows, step)]


def decode_masked(encoding: Encoding) -> tuple[Array, Array]:
    """Returns (mask, values) of a masked encoding: uint8 of the dense shape, and the kept values [D].

    Raises:
        EncodingError: The encoding is not masked, or its mask and values disagree.
    """
    mask = _mask(encoding, 0, _rows(encoding))
    return mask, _dense(encoding, 0, _rows(encoding))[mask.view(np.bool_)]


def _require_dense(encoding: Encoding) -> None:
    if encoding.masked:
        raise EncodingError("a masked encoding has no dense values; wrap it in Scatter or use decode_masked")


def _rows(encoding: Encoding) -> int:
    return encoding.shape[0] if encoding.shape else 1


def _rows_together(encoding: Encoding) -> int:
    """Number of rows that share a block, a table or a vector."""
    match encoding:
        case Affine(data, scale):
            return math.lcm(_rows_together(data), _rows_each(scale, data))
        case Lut(indices, table, vector_axis):
            together = math.lcm(_rows_together(indices), _rows_each(table, indices))
            return together * encoding.vector_size if vector_axis == 0 else together
        case Scatter(source):
            return _rows_together(source)
        case _:
            return 1


def _rows_each(operand: Encoding, over: Encoding) -> int:
    """Rows of `over` to each row of a scale, offset or table; 1 where one serves all rows."""
    own = _rows(operand)
    return 1 if own == 1 else _rows(over) // own * _rows_together(operand)


def _operand(operand: Encoding, over: Encoding, start: int, stop: int) -> Array:
    """Returns the part of a scale, offset or table that serves a range of rows of `over`."""
    own = _rows(operand)
    if own <= 1:
        return decode(operand)
    each = _rows(over) // own
    return _dense(operand, start // each, stop // each)


def _dense(encoding: Encoding, start: int, stop: int) -> Array:
    """A range of rows of the dense values; where a masked encoding has no value, anything."""
    match encoding:
        case Dense(values):
            return _elements(values, start, stop)
        case Sparse(mask, values):
            return _scatter(*_kept(mask, values, start, stop), mask, start, stop)
        case Affine(data, scale, offset):
            zero = None if offset is None else _operand(offset, data, start, stop)
            return _affine(_dense(data, start, stop), _operand(scale, data, start, stop), zero)
        case Lut(indices, table, vector_axis):
            if vector_axis == 0:
                start, stop = start // encoding.vector_size, stop // encoding.vector_size
            tables = _operand(table, indices, start, stop)
            return _look_up(_dense(indices, start, stop), tables, vector_axis)
        case Scatter(Sparse() as source):
            return _dense(source, start, stop)
        case Scatter(Lut(Sparse(mask, values), table, None)) if math.prod(table.shape[:-2]) == 1:
            kept, bits = _kept(mask, values, start, stop)
            return _scatter(kernels.lookup(kept, decode(table).reshape(-1)), bits, mask, start, stop)
        case Scatter(source):
            kept = _mask(source, start, stop).view(np.bool_)
            return np.where(kept, _dense(source, start, stop), source.dtype.storage.type(0))


def _mask(encoding: Encoding, start: int, stop: int) -> Array:
    match encoding:
        case Sparse(mask):
            return _elements(mask, start, stop)
        case Affine(data):
            return _mask(data, start, stop)
        case Lut(indices, _, vector_axis):
            size = encoding.vector_size
            if vector_axis == 0:
                start, stop = start // size, stop // size
            kept = _mask(indices, start, stop)
            return kept if vector_axis is None else np.repeat(kept, size, axis=vector_axis)
        case _:
            raise EncodingError(f"{type(encoding).__name__} is not masked")


def _elements(tensor: Tensor, start: int, stop: int) -> Array:
    """A range of rows of a tensor; a view where its elements are whole bytes."""
    if not tensor.dtype.is_packed or stop - start == tensor.shape[0]:
        return tensor.numpy()[start:stop] if tensor.shape else tensor.numpy()
    row = math.prod(tensor.shape[1:])
    return _slice(tensor, start * row, stop * row).reshape(stop - start, *tensor.shape[1:])


def _slice(tensor: Tensor, start: int, stop: int) -> Array:
    """The elements from `start` to `stop` of a tensor in one dimension."""
    if not tensor.dtype.is_packed:
        return np.frombuffer(tensor.buffer, tensor.dtype.storage)[start:stop]
    # Eight elements take whole bytes, whatever their width.
    skipped, bits = start % 8, tensor.dtype.bits
    packed = np.frombuffer(tensor.buffer, np.uint8)[(start - skipped) * bits // 8 :]
    signed = tensor.dtype.kind == "int"
    return kernels.unpack(packed, bits, stop - start + skipped, signed=signed)[skipped:]


def _kept(mask: Tensor, values: Tensor, start: int, stop: int) -> tuple[Array, Array]:
    """The values of a range of rows, and its part of the mask, packed."""
    row = math.prod(mask.shape[1:])
    bits = _bits(mask, start * row, stop * row)
    first = _ones(mask, start * row)
    last = first + kernels.popcount(bits)
    if last > values.size or (stop * row == mask.size and last != values.size):
        raise EncodingError(f"the mask has {_ones(mask, mask.size)} ones for {values.size} values")
    return _slice(values, first, last), bits


def _scatter(kept: Array, bits: Array, mask: Tensor, start: int, stop: int) -> Array:
    shape = (stop - start, *mask.shape[1:]) if mask.shape else ()
    return kernels.scatter_mask(kept, bits, math.prod(shape)).reshape(shape)


def _bits(mask: Tensor, start: int, stop: int) -> Array:
    """A range of a mask, packed, with zeros behind its end."""
    packed = np.frombuffer(mask.buffer, np.uint8)
    if start % 8 == 0 and (stop % 8 == 0 or stop == mask.size):
        return packed[start // 8 : (stop + 7) // 8]
    return kernels.pack(_slice(mask, start, stop), 1)


def _ones(mask: Tensor, count: int) -> int:
    """Number of ones among the first `count` elements of a mask."""
    whole = count - count % 8
    return kernels.popcount(_bits(mask, 0, whole)) + int(_slice(mask, whole, count).sum())


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
        if blocks.count == 1:
            return kernels.lookup(rows[0], tables[0, :, 0]).reshape(indices.shape)
        found = np.stack(
            [kernels.lookup(row, entries) for row, entries in zip(rows, tables[..., 0], strict=True)]
        )
        return blocks.unrows(found)
    vectors = np.stack([entries[row] for row, entries in zip(rows, tables, strict=True)])
    elements = [blocks.unrows(np.ascontiguousarray(vectors[..., v])) for v in range(table.shape[-1])]
    return from_vectors(np.stack(elements, axis=-1), vector_axis)
