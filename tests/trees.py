"""Random encoding trees, and a slow decoder that follows the definition of each operator element by
element."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import strategies as st

from mlpress.bits import (
    FLOAT16,
    FLOAT32,
    INT4,
    INT8,
    UINT1,
    UINT4,
    UINT8,
    DType,
    Tensor,
    unsigned,
)
from mlpress.encoding import Affine, Dense, Encoding, Lut, Scatter, Sparse


def divisors(size: int) -> list[int]:
    return [count for count in range(1, size + 1) if size % count == 0]


def random_tensor(draw, dtype: DType, shape: tuple[int, ...]) -> Tensor:
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    if dtype.is_float:
        return Tensor.from_numpy(random.normal(size=shape).astype(dtype.storage), dtype)
    return Tensor.from_numpy(
        random.integers(dtype.low, dtype.high + 1, size=shape).astype(dtype.storage), dtype
    )


def block_counts(draw, shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(draw(st.sampled_from(divisors(size))) for size in shape)


@st.composite
def leaves(draw, dtype: DType, shape: tuple[int, ...], masked: bool) -> Dense | Sparse:
    if not masked:
        return Dense(random_tensor(draw, dtype, shape))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    mask = Tensor.from_numpy((random.random(shape) < draw(st.floats(0, 1))).astype(np.uint8), UINT1)
    return Sparse(mask, random_tensor(draw, dtype, (int(mask.numpy().sum()),)))


@st.composite
def scaled(draw, data: Encoding, scale_dtype: DType) -> Affine:
    counts = block_counts(draw, data.shape)
    offset = Dense(random_tensor(draw, data.dtype, counts)) if draw(st.booleans()) else None
    return Affine(data, Dense(random_tensor(draw, scale_dtype, counts)), offset)


@st.composite
def palettes(draw, shape: tuple[int, ...], masked: bool, table_dtype: DType) -> Lut:
    bits = draw(st.sampled_from([1, 2, 3, 4, 6, 8]))
    indices = draw(leaves(unsigned(bits), shape, masked))
    length = draw(st.sampled_from([1, 1, 2, 3]))
    axis = draw(st.integers(0, len(shape) - 1)) if length > 1 else None
    groups = block_counts(draw, shape)
    table: Encoding
    if table_dtype.is_float and draw(st.booleans()):
        stored = Dense(
            random_tensor(draw, draw(st.sampled_from([INT8, UINT8])), (*groups, 1 << bits, length))
        )
        scale_shape = (*tuple(draw(st.sampled_from(divisors(count))) for count in groups), 1, 1)
        offset = Dense(random_tensor(draw, stored.dtype, scale_shape)) if draw(st.booleans()) else None
        table = Affine(stored, Dense(random_tensor(draw, table_dtype, scale_shape)), offset)
    else:
        table = Dense(random_tensor(draw, table_dtype, (*groups, 1 << bits, length)))
    return Lut(indices, table, axis)


@st.composite
def encodings(draw, masked: bool | None = None) -> Encoding:
    """Every composition that iOS 18 and later can express; dense."""
    shape = draw(st.lists(st.integers(1, 6), min_size=1, max_size=4).map(tuple))
    masked = draw(st.booleans()) if masked is None else masked
    float_dtype = draw(st.sampled_from([FLOAT16, FLOAT32]))
    kind = draw(st.sampled_from(["leaf", "affine", "lut", "scaled lut"]))
    encoding: Encoding
    if kind == "leaf":
        encoding = draw(leaves(float_dtype, shape, masked))
    elif kind == "affine":
        dtype = draw(st.sampled_from([INT4, UINT4, INT8, UINT8]))
        encoding = draw(scaled(draw(leaves(dtype, shape, masked)), float_dtype))
    elif kind == "lut":
        encoding = draw(palettes(shape, masked, float_dtype))
    else:
        palette = draw(palettes(shape, masked, draw(st.sampled_from([INT8, UINT8, FLOAT16]))))
        encoding = (
            draw(scaled(palette, float_dtype))
            if palette.dtype != FLOAT16
            else Affine(palette, Dense(random_tensor(draw, FLOAT16, block_counts(draw, palette.shape))))
        )
    return Scatter(encoding) if masked else encoding


@st.composite
def encodings_of_ios16(draw) -> Encoding:
    """What iOS 16 and 17 can express: one technique, per tensor or per channel, 8 bits or a small table."""
    shape = draw(st.lists(st.integers(1, 6), min_size=1, max_size=4).map(tuple))
    float_dtype = draw(st.sampled_from([FLOAT16, FLOAT32]))
    kind = draw(st.sampled_from(["affine", "lut", "sparse"]))
    if kind == "sparse":
        return Scatter(draw(leaves(float_dtype, shape, masked=True)))
    if kind == "lut":
        bits = draw(st.sampled_from([1, 2, 4, 6, 8]))
        table = random_tensor(draw, float_dtype, (1,) * len(shape) + (1 << bits, 1))
        return Lut(draw(leaves(unsigned(bits), shape, masked=False)), Dense(table))
    dtype = draw(st.sampled_from([INT8, UINT8]))
    counts = [1] * len(shape)
    if draw(st.booleans()):
        axis = draw(st.integers(0, len(shape) - 1))
        counts[axis] = shape[axis]
    offset = Dense(random_tensor(draw, dtype, tuple(counts))) if draw(st.booleans()) else None
    scale = Dense(random_tensor(draw, float_dtype, tuple(counts)))
    return Affine(draw(leaves(dtype, shape, masked=False)), scale, offset)


def slow_decode(encoding: Encoding) -> np.ndarray:
    """The dense values, one element after the other; NaN-free zeros where nothing is kept."""
    mask, values = _slow(encoding)
    assert mask is None, "masked"
    return values


def _slow(encoding: Encoding) -> tuple[np.ndarray | None, np.ndarray]:
    """Returns (mask or None, dense values with zeros where masked out)."""
    match encoding:
        case Dense(values):
            return None, values.numpy()
        case Sparse(mask, values):
            dense = np.zeros(mask.shape, values.dtype.storage)
            kept = iter(values.numpy())
            for place in np.ndindex(*mask.shape):
                if mask.numpy()[place]:
                    dense[place] = next(kept)
            return mask.numpy(), dense
        case Affine(data, scale, offset):
            mask, values = _slow(data)
            scales = slow_decode(scale)
            offsets = None if offset is None else slow_decode(offset)
            out = np.zeros(values.shape, scales.dtype)
            for place in np.ndindex(*values.shape):
                if mask is not None and not mask[place]:
                    continue
                block = tuple(p * c // n for p, c, n in zip(place, scales.shape, values.shape, strict=True))
                shift = 0.0 if offsets is None else float(offsets[block])
                product = np.float32(float(values[place]) - shift) * np.float32(scales[block])
                out[place] = product.astype(scales.dtype)
            return mask, out
        case Lut(indices, table, axis):
            mask, positions = _slow(indices)
            entries = slow_decode(table)
            length = encoding.vector_size
            out = np.zeros(encoding.shape, entries.dtype)
            out_mask = None if mask is None else np.zeros(encoding.shape, np.uint8)
            for place, element in itertools.product(np.ndindex(*positions.shape), range(length)):
                if mask is not None and not mask[place]:
                    continue
                group = tuple(
                    p * g // n for p, g, n in zip(place, entries.shape, positions.shape, strict=False)
                )
                target = list(place)
                if axis is not None:
                    target[axis] = place[axis] * length + element
                out[tuple(target)] = entries[(*group, positions[place], element)]
                if out_mask is not None:
                    out_mask[tuple(target)] = 1
            return out_mask, out
        case Scatter(source):
            return None, _slow(source)[1]
