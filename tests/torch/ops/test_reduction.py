from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mlpress.errors import InvalidProgramError
from mlpress.ops import reduction
from tests.torch.ops.draws import assert_close, seeded, seeds, tensor


def _log_sum_exp(x: Any, **over: Any) -> Any:
    return np.log(np.exp(x).sum(**over))


REDUCTIONS: dict[str, Callable[..., Any]] = {
    "reduce_l1_norm": lambda x, **over: np.abs(x).sum(**over),
    "reduce_l2_norm": lambda x, **over: np.sqrt((x * x).sum(**over)),
    "reduce_log_sum": lambda x, **over: np.log(x.sum(**over)),
    "reduce_log_sum_exp": _log_sum_exp,
    "reduce_max": np.max,
    "reduce_mean": np.mean,
    "reduce_min": np.min,
    "reduce_prod": np.prod,
    "reduce_sum": np.sum,
    "reduce_sum_square": lambda x, **over: (x * x).sum(**over),
}
# So few elements that their product fits.
shapes = arrays.array_shapes(min_dims=0, max_dims=4, max_side=3).filter(lambda shape: math.prod(shape) <= 36)


@pytest.mark.parametrize("name", REDUCTIONS)
@pytest.mark.parametrize("kind", [np.float32, np.int32])
@settings(max_examples=20)
@given(shape=shapes, keep_dims=st.booleans(), seed=seeds, data=st.data())
def test_reductions_over_any_axes(
    name: str, kind: Any, shape: tuple[int, ...], keep_dims: bool, seed: int, data: st.DataObject
) -> None:
    rank = len(shape)
    x = (1 + np.abs(np.asarray(seeded(seed, *shape)))).astype(kind)
    axes = data.draw(st.none() | st.lists(st.sampled_from(range(rank)), unique=True)) if rank else None
    over = None if axes is None else tuple(axes)
    expected = REDUCTIONS[name](x.astype(np.float64), axis=over, keepdims=keep_dims)
    given_axes = None if axes is None else [axis - rank * data.draw(st.booleans()) for axis in axes]
    result = getattr(reduction, name)(tensor(x), given_axes, keep_dims)
    assert result.dtype == tensor(x).dtype
    assert_close(result, np.trunc(expected + 1e-12) if kind is np.int32 else expected, 1e-4)


@pytest.mark.parametrize("name", REDUCTIONS)
def test_reductions_of_a_scalar(name: str) -> None:
    result = getattr(reduction, name)(torch.tensor(2.0), keep_dims=True)
    assert_close(result, REDUCTIONS[name](np.array(2.0)))


@pytest.mark.parametrize("name, function", [("reduce_argmax", np.argmax), ("reduce_argmin", np.argmin)])
@given(shape=arrays.array_shapes(max_dims=4, max_side=5), keep_dims=st.booleans(), seed=seeds, data=st.data())
def test_indices_of_extremes(
    name: str, function: Any, shape: tuple[int, ...], keep_dims: bool, seed: int, data: st.DataObject
) -> None:
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    x = (3 * seeded(seed, *shape)).astype(np.int32)  # with ties
    result = getattr(reduction, name)(tensor(x), axis, keep_dims)
    assert result.dtype == torch.int32
    np.testing.assert_array_equal(result.numpy(), function(x, axis=axis, keepdims=keep_dims))


def test_indices_as_uint16() -> None:
    assert reduction.reduce_argmax(torch.tensor([1.0, 3, 2]), output_dtype="uint16").dtype == torch.uint16
    with pytest.raises(InvalidProgramError, match="reduce_argmin: output_dtype is 'int8'; allowed: 'int32'"):
        reduction.reduce_argmin(torch.zeros(2), output_dtype="int8")


def test_sums_of_integers_wrap_at_32_bits() -> None:
    x = torch.full((2,), 2**31 - 1, dtype=torch.int32)
    assert reduction.reduce_sum(x).item() == -2


def test_log_sum_exp_does_not_overflow() -> None:
    assert reduction.reduce_log_sum_exp(torch.tensor([1000.0, 1000.0])).item() == pytest.approx(1000.6931)
