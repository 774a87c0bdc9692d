"""Gathering and scattering against loops over indices."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mlpress.errors import InvalidProgramError
from mlpress.ops.scatter_gather import (
    gather,
    gather_along_axis,
    gather_nd,
    scatter,
    scatter_along_axis,
    scatter_nd,
)

Array = np.ndarray[Any, Any]

ROUNDING = 2e-6
"""Of a few float32 sums of numbers up to 10, which may cancel."""

COMBINE = {
    "add": np.add,
    "div": np.divide,
    "max": np.maximum,
    "min": np.minimum,
    "mul": np.multiply,
    "sub": np.subtract,
    "update": lambda old, new: new,
}
shapes = st.lists(st.integers(1, 4), min_size=1, max_size=4).map(tuple)
seeds = st.integers(0, 1000)


def floats(seed: int, *shape: int) -> Array:
    return np.random.default_rng(seed).uniform(0.5, 2, shape).astype(np.float32)


def places(seed: int, size: int, *shape: int) -> Array:
    """Returns indices into `size` elements, some of them negative."""
    return np.random.default_rng(seed).integers(-size, size, shape).astype(np.int32)


@given(shapes, st.lists(st.integers(0, 3), max_size=2).map(tuple), st.data(), seeds)
@settings(max_examples=40, deadline=None)
def test_gather_is_numpys_take(shape: tuple[int, ...], wanted: tuple[int, ...], data: Any, seed: int) -> None:
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    x, indices = floats(seed, *shape), places(seed, shape[axis], *wanted)
    result = gather(torch.from_numpy(x), torch.from_numpy(np.asarray(indices)), axis)
    np.testing.assert_array_equal(result, np.take(x, indices, axis))


@given(shapes, st.lists(st.integers(1, 3), max_size=2).map(tuple), st.data(), seeds)
@settings(max_examples=40, deadline=None)
def test_gather_in_batches_gathers_in_each(
    shape: tuple[int, ...], wanted: tuple[int, ...], data: Any, seed: int
) -> None:
    batch_dims = data.draw(st.integers(0, len(shape) - 1))
    axis = data.draw(st.integers(batch_dims, len(shape) - 1))
    batch = shape[:batch_dims]
    x, indices = floats(seed, *shape), places(seed, shape[axis], *batch, *wanted)
    result = gather(torch.from_numpy(x), torch.from_numpy(np.asarray(indices)), axis, batch_dims)
    expected = np.empty((*shape[:axis], *wanted, *shape[axis + 1 :]), np.float32)
    for at in itertools.product(*map(range, batch)):
        expected[at] = np.take(x[at], indices[at], axis - batch_dims)
    np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8, torch.int16, torch.uint16, torch.int32])
def test_types_of_indices(dtype: torch.dtype) -> None:
    x, indices = torch.arange(12.0).reshape(4, 3), torch.tensor([[3, 0, 1]]).to(dtype)
    assert gather(x, indices).shape == (1, 3, 3)
    assert gather_along_axis(x, indices).tolist() == [[9, 1, 5]]
    assert gather_nd(x, indices[:, :2]).tolist() == [9]


@pytest.mark.parametrize("dtype", [torch.uint16, torch.int8, torch.float16])
def test_types_of_elements_are_kept(dtype: torch.dtype) -> None:
    x, indices = torch.arange(6).reshape(2, 3).to(dtype), torch.tensor([[1, 0, 1]], dtype=torch.int32)
    for result in (gather(x, indices), gather_along_axis(x, indices), gather_nd(x, indices[:, :2])):
        assert result.dtype == dtype


@pytest.mark.parametrize("validate", [False, True])
def test_an_index_out_of_bounds_is_an_error(validate: bool) -> None:
    with pytest.raises(IndexError, match="out of range"):
        gather(torch.zeros(3), torch.tensor([3], dtype=torch.int32), validate_indices=validate)


@pytest.mark.parametrize("index", [(0, 3), (0, -4), (2, 0), (-3, 2)])
def test_an_index_out_of_one_axis_is_no_index_into_another_row(index: tuple[int, int]) -> None:
    x, indices = torch.zeros(2, 3), torch.tensor([index], dtype=torch.int32)
    with pytest.raises(IndexError, match="out of range"):
        gather_nd(x, indices)
    with pytest.raises(RuntimeError, match="out of bounds"):
        scatter_nd(x, indices, torch.ones(1))
    with pytest.raises(IndexError, match="out of range"):
        gather(torch.zeros(2, 3), torch.tensor([[3], [0]]), axis=1, batch_dims=1)
    with pytest.raises(IndexError, match="out of range"):
        gather_nd(torch.zeros(2, 3), torch.tensor([[[3]], [[0]]]), batch_dims=1)


def test_validated_indices_are_not_negative() -> None:
    x, indices = torch.zeros(2, 3), torch.tensor([[-1]], dtype=torch.int32)
    options = {"validate_indices": True}
    for error, call in (
        (IndexError, lambda: gather(x, indices, **options)),
        (IndexError, lambda: gather_nd(x, indices, **options)),
        (RuntimeError, lambda: gather_along_axis(x, indices, **options)),
        (RuntimeError, lambda: scatter(x, indices[0], x[:1], **options)),
        (RuntimeError, lambda: scatter_along_axis(x, indices, x[:1, :1], **options)),
        (RuntimeError, lambda: scatter_nd(x, indices, x[:1], **options)),
    ):
        with pytest.raises(error, match="out of"):
            call()


@given(shapes, st.data(), seeds)
@settings(max_examples=30, deadline=None)
def test_gather_along_axis_is_numpys(shape: tuple[int, ...], data: Any, seed: int) -> None:
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    wanted = list(shape)
    wanted[axis] = data.draw(st.integers(1, 5))
    x, indices = floats(seed, *shape), places(seed, shape[axis], *wanted)
    result = gather_along_axis(torch.from_numpy(x), torch.from_numpy(indices), axis)
    np.testing.assert_array_equal(result, np.take_along_axis(x, indices, axis))


@given(shapes, st.lists(st.integers(1, 3), max_size=2).map(tuple), st.data(), seeds)
@settings(max_examples=50, deadline=None)
def test_gather_nd_takes_a_slice_for_each_row(
    shape: tuple[int, ...], wanted: tuple[int, ...], data: Any, seed: int
) -> None:
    batch_dims = data.draw(st.integers(0, len(shape) - 1))
    depth = data.draw(st.integers(1, len(shape) - batch_dims))
    batch, sizes = shape[:batch_dims], shape[batch_dims : batch_dims + depth]
    x = floats(seed, *shape)
    rows = [places(seed + axis, size, *batch, *wanted) for axis, size in enumerate(sizes)]
    indices = np.stack(rows, -1)
    result = gather_nd(torch.from_numpy(x), torch.from_numpy(indices), batch_dims)
    expected = np.empty((*indices.shape[:-1], *shape[batch_dims + depth :]), np.float32)
    for at in itertools.product(*map(range, indices.shape[:-1])):
        expected[at] = x[(*at[:batch_dims], *indices[at])]
    np.testing.assert_array_equal(result, expected)


def test_gather_nd_without_indices_repeats_all() -> None:
    x = torch.arange(3.0)
    assert gather_nd(x, torch.empty(2, 0, dtype=torch.int32)).tolist() == [[0, 1, 2], [0, 1, 2]]


@pytest.mark.parametrize("mode", COMBINE)
@given(shapes, st.data(), seeds)
@settings(max_examples=15, deadline=None)
def test_scatter_combines_slices(mode: str, shape: tuple[int, ...], data: Any, seed: int) -> None:
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    # What remains of several updates of one place is not defined.
    unique = st.lists(st.integers(0, shape[axis] - 1), min_size=1, max_size=5, unique=mode == "update")
    indices = np.array(data.draw(unique), np.int32)
    sizes = list(shape)
    sizes[axis] = len(indices)
    x, updates = floats(seed, *shape), floats(seed + 1, *sizes)
    result = scatter(*map(torch.from_numpy, (x, indices, updates)), axis, mode)
    expected = np.moveaxis(x.astype(float), axis, 0)
    for index, update in zip(indices, np.moveaxis(updates, axis, 0), strict=True):
        expected[index] = COMBINE[mode](expected[index], update)
    np.testing.assert_allclose(result, np.moveaxis(expected, 0, axis), rtol=1e-5, atol=ROUNDING)


@pytest.mark.parametrize("mode", COMBINE)
@given(shapes, st.data(), seeds)
@settings(max_examples=15, deadline=None)
def test_scatter_along_axis_combines_elements(
    mode: str, shape: tuple[int, ...], data: Any, seed: int
) -> None:
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    sizes = list(shape)
    sizes[axis] = 1 if mode == "update" else data.draw(st.integers(1, 5))
    x, updates, indices = floats(seed, *shape), floats(seed + 1, *sizes), places(seed, shape[axis], *sizes)
    result = scatter_along_axis(*map(torch.from_numpy, (x, indices, updates)), axis, mode)
    expected = x.astype(float)
    for at in itertools.product(*map(range, sizes)):
        place = list(at)
        place[axis] = indices[at]
        expected[tuple(place)] = COMBINE[mode](expected[tuple(place)], updates[at])
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=ROUNDING)


@pytest.mark.parametrize("mode", COMBINE)
@given(shapes, st.data(), seeds)
@settings(max_examples=15, deadline=None)
def test_scatter_nd_combines_slices(mode: str, shape: tuple[int, ...], data: Any, seed: int) -> None:
    depth = data.draw(st.integers(1, len(shape)))
    count = 1 if mode == "update" else data.draw(st.integers(1, 4))
    indices = np.stack([places(seed + axis, size, count) for axis, size in enumerate(shape[:depth])], -1)
    x, updates = floats(seed, *shape), floats(seed + 1, count, *shape[depth:])
    result = scatter_nd(*map(torch.from_numpy, (x, indices, updates)), mode)
    expected = x.astype(float)
    for index, update in zip(indices, updates, strict=True):
        expected[tuple(index)] = COMBINE[mode](expected[tuple(index)], update)
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=ROUNDING)


@pytest.mark.parametrize(
    "mode, expected", [("mul", [6, 70]), ("div", [0, 0]), ("add", [5, 14]), ("sub", [-1, 0]), ("max", [3, 7])]
)
def test_integers_stay_integers(mode: str, expected: list[int]) -> None:
    data, indices, updates = (torch.tensor(x, dtype=torch.int32) for x in ([2, 7], [0, 1, 1], [3, 2, 5]))
    result = scatter(data, indices, updates, 0, mode)
    assert result.dtype == torch.int32
    assert result.tolist() == expected


def test_unknown_modes_are_refused() -> None:
    x, indices = torch.zeros(2), torch.zeros(1, dtype=torch.int32)
    with pytest.raises(InvalidProgramError, match="mode is 'xor'"):
        scatter(x, indices, x[:1], mode="xor")
