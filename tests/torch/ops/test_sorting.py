"""Orders by value, against NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mlpress.errors import InvalidProgramError
from mlpress.ops.sorting import argsort, topk

shapes = st.lists(st.integers(1, 5), min_size=1, max_size=3).map(tuple)
KINDS = (np.float32, np.int32, np.int8, np.uint8, np.uint16)


def distinct(shape: tuple[int, ...], kind: type) -> np.ndarray[Any, Any]:
    count = int(np.prod(shape))
    top = np.iinfo(kind).max if np.issubdtype(kind, np.integer) else 1000
    values = top - np.random.default_rng(count).permutation(count)
    return values.astype(kind).reshape(shape)


@given(shapes, st.booleans(), st.data())
@settings(max_examples=40, deadline=None)
def test_argsort_is_stable(shape: tuple[int, ...], ascending: bool, data: Any) -> None:
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    array = np.random.default_rng(1).integers(0, 3, shape).astype(np.int32)
    result = argsort(torch.from_numpy(array), axis, ascending)
    assert result.dtype == torch.int32
    np.testing.assert_array_equal(result, np.argsort(array if ascending else -array, axis, kind="stable"))


@given(shapes, st.sampled_from(KINDS), st.booleans(), st.booleans(), st.data())
@settings(max_examples=60, deadline=None)
def test_topk(shape: tuple[int, ...], kind: type, ascending: bool, ordered: bool, data: Any) -> None:
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    k = data.draw(st.sampled_from([-1, *range(1, shape[axis] + 1)]))
    array = distinct(shape, kind)
    x = torch.from_numpy(array)
    values, indices = topk(x, k, axis, ascending, ordered)
    assert values.dtype == x.dtype
    assert indices.dtype == torch.int32
    np.testing.assert_array_equal(np.take_along_axis(array, indices.long().numpy(), axis), values)
    in_order = np.sort(array, axis) if ascending else np.flip(np.sort(array, axis), axis)
    expected = np.take(in_order, range(shape[axis] if k == -1 else k), axis)
    found = values.numpy() if ordered else np.sort(values.numpy(), axis)
    np.testing.assert_array_equal(found, expected if ordered else np.sort(expected, axis))


def test_forms_of_the_indices() -> None:
    x = torch.tensor([3.0, 1.0])
    assert topk(x, output_indices_dtype="uint16")[1].dtype == torch.uint16
    (values,) = topk(x, return_indices=False)
    assert torch.equal(values, torch.tensor([3.0]))
    with pytest.raises(InvalidProgramError, match="allowed: 'int32', 'uint16'"):
        topk(x, output_indices_dtype="int64")
