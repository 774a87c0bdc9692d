"""Tensors made, joined and split, against NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

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
    return np.random.default_rng(len(sizes)).normal(size=sizes).astype(np.float32)


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


@pytest.mark.parametrize(
    "start, end, step, dtype",
    [
        (2, 9, 3, torch.int32),
        (9, 2, -3, torch.int32),
        (0.0, 1.0, 0.3, torch.float32),
        (1.0, -1.0, -0.5, torch.float16),
        (3, 3, 1, torch.int32),
        (3, 1, 1, torch.int32),
    ],
)
def test_range_is_numpys(start: float, end: float, step: float, dtype: torch.dtype) -> None:
    result = range_1d(end, start, step, result_dtype=dtype, anchor=ANCHOR)
    assert result.dtype == dtype
    np.testing.assert_allclose(result.float(), np.arange(start, end, step), rtol=1e-3)


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


def test_filled_tensors() -> None:
    made = fill([2, 0, 3], True, result_dtype=torch.bool, anchor=ANCHOR)
    assert made.dtype == torch.bool
    assert made.shape == (2, 0, 3)
    like = fill_like(torch.zeros(2, 1), 2.5, result_dtype=torch.float16)
    assert like.dtype == torch.float16
    assert like.tolist() == [[2.5], [2.5]]


@given(shapes)
@settings(max_examples=20, deadline=None)
def test_non_zero_is_numpys(sizes: tuple[int, ...]) -> None:
    array = floats(*sizes).round()
    result = non_zero(torch.from_numpy(array))
    assert result.dtype == torch.int32
    np.testing.assert_array_equal(result, np.argwhere(array))


def test_shape_is_an_int32_vector() -> None:
    assert shape(torch.zeros(2, 0, 3)).tolist() == [2, 0, 3]
    assert shape(torch.zeros(())).shape == (0,)
    assert shape(torch.zeros(2)).dtype == torch.int32


def test_identity_takes_anything() -> None:
    for x in (torch.zeros(2), (torch.zeros(2),), {"a": 1.0}):
        assert identity(x) is x


def test_select_broadcasts_all_three() -> None:
    cond = torch.tensor([[True], [False]])
    a, b = torch.tensor([1.0, 2.0]), torch.tensor(9.0)
    assert select(cond, a, b).tolist() == [[1, 2], [9, 9]]
