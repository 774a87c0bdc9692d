"""Shapes and orders against NumPy, and blocks against loops."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from mlpress.errors import InvalidProgramError
from mlpress.ops.blocks import (
    batch_to_space,
    depth_to_space,
    pixel_shuffle,
    pixel_unshuffle,
    space_to_batch,
    space_to_depth,
)
from mlpress.ops.transform import (
    expand_dims,
    flatten2d,
    reshape,
    reshape_like,
    reverse,
    reverse_sequence,
    sliding_windows,
    squeeze,
    transpose,
)

shapes = st.lists(st.integers(1, 4), min_size=1, max_size=4).map(tuple)


def counted(*shape: int) -> np.ndarray[Any, Any]:
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape)


@pytest.mark.parametrize(
    "shape, asked, expected",
    [
        ((2, 3, 4), [4, 6], (4, 6)),
        ((2, 3, 4), [-1], (24,)),
        ((2, 3, 4), [0, 0, -1, 2], (1, 2, 6, 2)),
        ((2, 3, 4), [0, -1, 2], (2, 6, 2)),
        ((2, 50), [1, 0, -1, 0], (1, 1, 2, 50)),
        ((4, 3), [0], None),
        ((), [1, 1], (1, 1)),
        ((1,), [], ()),
        ((0, 3), [0, 3], (0, 3)),
    ],
)
def test_reshape(shape: tuple[int, ...], asked: list[int], expected: tuple[int, ...] | None) -> None:
    x = torch.from_numpy(counted(*shape))
    if expected is None:
        with pytest.raises(RuntimeError, match="invalid"):
            reshape(x, asked)
    else:
        assert reshape(x, asked).tolist() == counted(*shape).reshape(expected).tolist()


@given(shapes, st.data())
@settings(max_examples=40, deadline=None)
def test_reshape_to_a_shape_with_gaps(shape: tuple[int, ...], data: Any) -> None:
    """Sizes are asked for as such, as 0 where they are those of x, counted from the right, and once as -1."""
    array = counted(*shape)
    split = data.draw(st.integers(0, len(shape)))
    expected = (*shape[:split], 1, *shape[split:]) if data.draw(st.booleans()) else shape
    asked, missing = list(expected), len(expected) - len(shape)
    for axis, size in enumerate(expected):
        copied = shape[axis - missing] if axis >= missing else 1
        if size == copied and data.draw(st.booleans()):
            asked[axis] = 0
    if data.draw(st.booleans()):
        asked[data.draw(st.integers(0, len(asked) - 1))] = -1
    np.testing.assert_array_equal(reshape(torch.from_numpy(array), asked), array.reshape(expected))


@given(st.lists(shapes, min_size=1, max_size=2), st.data())
@settings(max_examples=40, deadline=None)
def test_reshape_like_joins_parts_of_shapes(references: list[tuple[int, ...]], data: Any) -> None:
    begins = [data.draw(st.integers(0, len(shape) - 1)) for shape in references]
    ends = [data.draw(st.integers(b, len(s))) for b, s in zip(begins, references, strict=True)]
    masks = [data.draw(st.booleans()) for _ in references]
    expected = [
        size
        for shape, begin, end, to_the_end in zip(references, begins, ends, masks, strict=True)
        for size in (shape[begin:] if to_the_end else shape[begin:end])
    ]
    array = counted(*expected).ravel()
    result = reshape_like(torch.from_numpy(array), [torch.empty(s) for s in references], begins, ends, masks)
    np.testing.assert_array_equal(result, array.reshape(expected))


@given(shapes, st.data())
@settings(max_examples=40, deadline=None)
def test_inserted_and_dropped_axes_are_numpys(shape: tuple[int, ...], data: Any) -> None:
    count = data.draw(st.integers(1, 3))
    rank = len(shape) + count
    positive = data.draw(st.lists(st.integers(0, rank - 1), min_size=count, max_size=count, unique=True))
    axes = [data.draw(st.sampled_from([axis, axis - rank])) for axis in positive]
    wide = np.expand_dims(counted(*shape), tuple(positive))
    result = expand_dims(torch.from_numpy(counted(*shape)), axes)
    np.testing.assert_array_equal(result, wide)
    np.testing.assert_array_equal(squeeze(result, axes), counted(*shape))
    np.testing.assert_array_equal(squeeze(result), wide.squeeze())


def test_squeeze_leaves_axes_of_other_sizes() -> None:
    assert squeeze(torch.zeros(2, 1, 4), [0, 1]).shape == (2, 4)


@given(shapes, st.data())
@settings(max_examples=40, deadline=None)
def test_orders_of_axes_and_elements_are_numpys(shape: tuple[int, ...], data: Any) -> None:
    array, rank = counted(*shape), len(shape)
    x = torch.from_numpy(array)
    order = [axis - rank * data.draw(st.booleans()) for axis in data.draw(st.permutations(range(rank)))]
    np.testing.assert_array_equal(transpose(x, order), np.transpose(array, order))
    axes = data.draw(st.lists(st.integers(0, rank - 1), unique=True))
    np.testing.assert_array_equal(reverse(x, axes), np.flip(array, axes))
    np.testing.assert_array_equal(reverse(x), np.flip(array))
    axis = data.draw(st.integers(-rank, rank))
    rows = int(np.prod(shape[:axis]))
    np.testing.assert_array_equal(flatten2d(x, axis), array.reshape(rows, -1))


@given(shapes, st.data())
@settings(max_examples=40, deadline=None)
def test_windows(shape: tuple[int, ...], data: Any) -> None:
    array = counted(*shape)
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    size, stride = data.draw(st.integers(1, shape[axis])), data.draw(st.integers(1, 3))
    starts = range(0, shape[axis] - size + 1, stride)
    windows = [np.take(array, range(start, start + size), axis) for start in starts]
    result = sliding_windows(torch.from_numpy(array), axis, size, stride)
    np.testing.assert_array_equal(result, np.stack(windows, axis % len(shape)))


@given(st.integers(1, 4), st.integers(1, 5), st.booleans(), st.data())
@settings(max_examples=30, deadline=None)
def test_reverse_sequence_turns_the_start_of_each(
    batch: int, length: int, batch_first: bool, data: Any
) -> None:
    lengths = data.draw(st.lists(st.integers(0, length), min_size=batch, max_size=batch))
    array = counted(batch, length, 2) if batch_first else counted(length, batch, 2)
    expected = array.copy()
    rows, turned = (expected, array) if batch_first else (expected.swapaxes(0, 1), array.swapaxes(0, 1))
    for row, source, count in zip(rows, turned, lengths, strict=True):
        row[:count] = source[:count][::-1]
    axes = (1, 0) if batch_first else (-3, -2)
    result = reverse_sequence(torch.from_numpy(array), torch.tensor(lengths, dtype=torch.int8), *axes)
    np.testing.assert_array_equal(result, expected)


def test_reverse_sequence_needs_two_axes() -> None:
    with pytest.raises(InvalidProgramError, match="seq_axis and batch_axis are both 1"):
        reverse_sequence(torch.zeros(2, 2), torch.tensor([1, 1]), 1, -1)


sizes = st.integers(1, 3)


@given(sizes, sizes, sizes, sizes, st.integers(2, 3))
@settings(max_examples=20, deadline=None)
def test_depth_and_space(n: int, channels: int, height: int, width: int, block: int) -> None:
    deep = counted(n, channels * block**2, height, width)
    spread = np.empty((n, channels, height * block, width * block), np.float32)
    shuffled = np.empty_like(spread)
    for c, i, j in itertools.product(range(channels), range(block), range(block)):
        place = i * block + j
        spread[:, c, i::block, j::block] = deep[:, place * channels + c]
        shuffled[:, c, i::block, j::block] = deep[:, c * block**2 + place]
    x = torch.from_numpy(deep)
    for there, back, expected in (
        (depth_to_space, space_to_depth, spread),
        (pixel_shuffle, pixel_unshuffle, shuffled),
    ):
        np.testing.assert_array_equal(there(x, block), expected)
        np.testing.assert_array_equal(back(there(x, block), block), deep)


@given(sizes, sizes, st.tuples(sizes, sizes), st.tuples(sizes, sizes), st.tuples(*[st.integers(0, 2)] * 4))
@settings(max_examples=30, deadline=None)
def test_space_and_batch(
    n: int, channels: int, size: tuple[int, int], block: tuple[int, int], pad: tuple[int, int, int, int]
) -> None:
    top, bottom, left, right = pad
    height, width = size[0] * block[0] - top - bottom, size[1] * block[1] - left - right
    if height < 1 or width < 1:
        return
    x = torch.from_numpy(counted(n, channels, height, width))
    margins = [[top, bottom], [left, right]]
    result = space_to_batch(x, block, margins)
    padded = F.pad(x, (left, right, top, bottom))
    parts = [padded[:, :, i :: block[0], j :: block[1]] for i in range(block[0]) for j in range(block[1])]
    assert torch.equal(result, torch.cat(parts))
    assert torch.equal(batch_to_space(result, block, margins), x)
