"""Slices against Python's own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mlpress.errors import InvalidProgramError
from mlpress.ops.slices import slice_by_index, slice_by_size, slice_update


@st.composite
def slicings(draw: Any) -> tuple[np.ndarray[Any, Any], dict[str, Any], tuple[int | slice, ...]]:
    """Draws an array, the parameters of a slice, and the same as a Python index."""
    shape = draw(st.lists(st.integers(1, 5), min_size=1, max_size=3))
    parameters: dict[str, Any] = {name: [] for name in ("begin", "end", "stride")}
    parameters |= {name: [] for name in ("begin_mask", "end_mask", "squeeze_mask")}
    index: list[int | slice] = []
    for size in shape:
        squeezed, stride = draw(st.booleans()), draw(st.sampled_from([1, 1, 2, 3, -1, -2]))
        begin = draw(st.integers(-size, size - 1) if squeezed else st.integers(-size - 2, size + 2))
        end = draw(st.integers(-size - 2, size + 2))
        masks = draw(st.booleans()) and not squeezed, draw(st.booleans())
        values = (begin, end, stride, *masks, squeezed)
        for name, value in zip(parameters, values, strict=True):
            parameters[name].append(value)
        bounds = None if masks[0] else begin, None if masks[1] else end
        index.append(begin if squeezed else slice(*bounds, stride))
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape), parameters, tuple(index)


@given(slicings(), st.sampled_from([np.float32, np.uint16, np.bool_]))
@settings(max_examples=200, deadline=None)
def test_slice_by_index_is_pythons(slicing: Any, dtype: type) -> None:
    array, parameters, index = slicing
    array = array.astype(dtype)
    result = slice_by_index(torch.from_numpy(array), **parameters)
    np.testing.assert_array_equal(result.numpy(), array[index])


@given(slicings())
@settings(max_examples=100, deadline=None)
def test_slice_update_is_pythons_assignment(slicing: Any) -> None:
    array, parameters, index = slicing
    part = np.asarray(array[index])
    update = (-np.arange(1, 1 + part.size, dtype=np.float32)).reshape(part.shape)
    x = torch.from_numpy(array.copy())
    result = slice_update(x, torch.from_numpy(update), **parameters)
    expected = array.copy()
    expected[index] = update
    np.testing.assert_array_equal(result, expected)
    np.testing.assert_array_equal(x, array)


def test_optional_parts() -> None:
    x = torch.arange(12).reshape(3, 4)
    assert slice_by_index(x, [1, -2], [3, 4]).tolist() == [[6, 7], [10, 11]]


@given(st.lists(st.integers(1, 5), min_size=1, max_size=4), st.data())
@settings(max_examples=100, deadline=None)
def test_slice_by_size_is_pythons(shape: list[int], data: Any) -> None:
    begin, size, index = [], [], []
    for length in shape:
        first = data.draw(st.integers(0, length - 1))
        count = data.draw(st.integers(0, length - first))
        index.append(slice(first, first + count))
        begin.append(data.draw(st.sampled_from([first, first - length])))
        size.append(-1 if first + count == length and data.draw(st.booleans()) else count)
    array = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    np.testing.assert_array_equal(slice_by_size(torch.from_numpy(array), begin, size), array[tuple(index)])


def test_a_slice_has_two_bounds_for_each_axis() -> None:
    with pytest.raises(InvalidProgramError, match="2 begins and 1 ends; x has 2 axes"):
        slice_by_index(torch.zeros(2, 2), [0, 0], [1])
