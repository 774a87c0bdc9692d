"""Tensors made, joined and split, against NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mlpress.errors import InvalidProgramError
from mlpress.ops.select import select
from mlpress.ops.tensor import (
    band_part,
    concat,
    cumsum,
    fill,
    fill_like,
    identity,
    non_zero,
    one_hot,
    range_1d,
    shape,
    split,
    stack,
    tile,
)

ANCHOR = torch.empty(0)
shapes = st.lists(st.integers(1, 4), min_size=1, max_size=4).map(tuple)


def floats(*sizes: int) -> np.ndarray[Any, Any]:
    return np.asarray(np.random.default_rng(len(sizes)).normal(size=sizes), np.float32)


@given(shapes, st.integers(1, 3), st.data())
@settings(max_examples=40, deadline=None)
def test_joined_tensors(sizes: tuple[int, ...], count: int, data: Any) -> None:
    axis = data.draw(st.integers(-len(sizes), len(sizes) - 1))
    arrays = [floats(*sizes) + 10 * index for index in range(count)]
    tensors = [torch.from_numpy(array) for array in arrays]
    np.testing.assert_array_equal(concat(tensors, axis), np.concatenate(arrays, axis))
    np.testing.assert_array_equal(stack(tensors, axis), np.stack(arrays, axis))
    woven = np.concatenate(arrays, axis)
    along = [slice(None)] * len(sizes)
    for index, array in enumerate(arrays):
        along[axis] = slice(index, None, count)
        woven[tuple(along)] = array
    np.testing.assert_array_equal(concat(tensors, axis, True), woven)


def test_scalars_join_to_a_vector() -> None:
    assert concat([torch.tensor(3), torch.tensor(4)], 0).tolist() == [3, 4]


@given(st.lists(st.integers(0, 3), min_size=1, max_size=4), st.integers(0, 1))
def test_split_into_sizes(parts: list[int], axis: int) -> None:
    array = floats(sum(parts), sum(parts))
    expected = np.split(array, np.cumsum(parts)[:-1], axis)
    for ours, theirs in zip(split(torch.from_numpy(array), axis, split_sizes=parts), expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_split_into_equal_parts() -> None:
    x = torch.arange(6).reshape(2, 3)
    assert [part.tolist() for part in split(x, -1, num_splits=3)] == [[[0], [3]], [[1], [4]], [[2], [5]]]
    assert len(split(x, 0, num_splits=1)) == 1
    with pytest.raises(InvalidProgramError, match="3 elements cannot be split into 2 equal parts"):
        split(x, 1, num_splits=2)
    with pytest.raises(InvalidProgramError, match="into None"):
        split(x, 1)


@given(shapes, st.data())
@settings(max_examples=20, deadline=None)
def test_tile_is_numpys(sizes: tuple[int, ...], data: Any) -> None:
    reps = data.draw(st.lists(st.integers(1, 3), min_size=len(sizes), max_size=len(sizes)))
    np.testing.assert_array_equal(tile(torch.from_numpy(floats(*sizes)), reps), np.tile(floats(*sizes), reps))


@given(shapes, st.booleans(), st.booleans(), st.data())
@settings(max_examples=40, deadline=None)
def test_cumsum_adds_one_by_one(sizes: tuple[int, ...], exclusive: bool, reverse: bool, data: Any) -> None:
    axis = data.draw(st.integers(-1, len(sizes) - 1))
    array = floats(*sizes)
    expected = np.empty_like(array)
    lines, sums = np.moveaxis(array, axis, 0), np.moveaxis(expected, axis, 0)
    total = np.zeros_like(lines[0])
    for index in range(len(lines))[:: -1 if reverse else 1]:
        before, total = total, total + lines[index]
        sums[index] = before if exclusive else total
    result = cumsum(torch.from_numpy(array), axis, exclusive, reverse)
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-6)


def test_cumsum_of_nothing_and_of_integers() -> None:
    assert cumsum(torch.zeros(0, 2), 0, True, True).shape == (0, 2)
    sums = cumsum(torch.tensor([2, 3], dtype=torch.int32), 0, True)
    assert sums.dtype == torch.int32
    assert sums.tolist() == [0, 2]


@given(st.integers(1, 4), st.integers(1, 4), st.integers(-2, 4), st.integers(-2, 4))
def test_band_part_keeps_a_band(rows: int, columns: int, lower: int, upper: int) -> None:
    array = floats(2, rows, columns)
    m, n = np.mgrid[:rows, :columns]
    band = ((lower < 0) | (m - n <= lower)) & ((upper < 0) | (n - m <= upper))
    np.testing.assert_array_equal(band_part(torch.from_numpy(array), lower, upper), np.where(band, array, 0))


@given(
    st.integers(-9, 9),
    st.integers(-9, 9),
    st.integers(-5, 5).filter(bool),
    st.sampled_from([(torch.int32, 1), (torch.float32, 4), (torch.float16, 4)]),
)
@settings(max_examples=60, deadline=None)
def test_range_is_numpys(start: int, end: int, step: int, kind: tuple[torch.dtype, int]) -> None:
    dtype, parts = kind  # quarters are exact in floats
    bounds = [bound if parts == 1 else bound / parts for bound in (end, start, step)]
    result = range_1d(*bounds, result_dtype=dtype, anchor=ANCHOR)
    assert result.dtype == dtype
    np.testing.assert_array_equal(result.float(), np.arange(bounds[1], bounds[0], bounds[2]))


@given(st.lists(st.integers(0, 3), max_size=2).map(tuple), st.data())
@settings(max_examples=30, deadline=None)
def test_one_hot_marks_the_index(sizes: tuple[int, ...], data: Any) -> None:
    axis = data.draw(st.integers(-len(sizes) - 1, len(sizes)))
    indices = np.random.default_rng(0).integers(-1, 5, sizes).astype(np.int32)  # some out of range
    hot = np.equal(np.expand_dims(indices, -1), np.arange(4))
    expected = np.moveaxis(np.where(hot, 7, 2), -1, axis)
    result = one_hot(torch.from_numpy(np.asarray(indices)), 4, axis, 7, 2, result_dtype=torch.int32)
    assert result.dtype == torch.int32
    np.testing.assert_array_equal(result, expected)


@given(
    st.lists(st.integers(0, 3), max_size=4).map(tuple),
    st.sampled_from([(True, torch.bool), (2.5, torch.float16), (0.1, torch.float32), (-7, torch.int32)]),
)
@settings(max_examples=30, deadline=None)
def test_filled_tensors(sizes: tuple[int, ...], kind: tuple[float, torch.dtype]) -> None:
    value, dtype = kind
    expected = np.full(sizes, value, str(dtype).removeprefix("torch."))
    made = fill(list(sizes), value, result_dtype=dtype, anchor=ANCHOR)
    like = fill_like(torch.zeros(sizes, dtype=torch.int32), value, result_dtype=dtype)
    for result in (made, like):
        np.testing.assert_array_equal(result.numpy(), expected, strict=True)


@given(shapes)
@settings(max_examples=20, deadline=None)
def test_non_zero_is_numpys(sizes: tuple[int, ...]) -> None:
    array = floats(*sizes).round()
    result = non_zero(torch.from_numpy(array))
    assert result.dtype == torch.int32
    np.testing.assert_array_equal(result, np.argwhere(array))


@given(st.lists(st.integers(0, 3), max_size=5))
@settings(max_examples=20, deadline=None)
def test_shape_is_an_int32_vector(sizes: list[int]) -> None:
    expected = np.array(sizes, np.int32)
    np.testing.assert_array_equal(shape(torch.zeros(sizes)).numpy(), expected, strict=True)


@given(shapes)
@settings(max_examples=5, deadline=None)
def test_identity_takes_anything(sizes: tuple[int, ...]) -> None:
    x = torch.from_numpy(floats(*sizes))
    np.testing.assert_array_equal(identity(x), floats(*sizes))
    for other in ((x,), {"a": 1.0}):
        assert identity(other) is other


@given(
    hnp.mutually_broadcastable_shapes(num_shapes=3, min_side=0, max_side=3, max_dims=4),
    st.sampled_from([np.float32, np.int32, np.bool_]),
)
@settings(max_examples=40, deadline=None)
def test_select_broadcasts_all_three(shapes: Any, kind: type) -> None:
    cond, a, b = (
        np.array(10 * floats(*sizes)).astype(dtype)
        for sizes, dtype in zip(shapes.input_shapes, (np.bool_, kind, kind), strict=True)
    )
    result = select(*map(torch.from_numpy, (cond, a, b)))
    np.testing.assert_array_equal(result.numpy(), np.where(cond, a, b), strict=True)
