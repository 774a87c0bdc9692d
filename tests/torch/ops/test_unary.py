from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mlpress.errors import UnsupportedModelError
from mlpress.ops import unary
from tests.torch.ops.draws import Array, assert_close, floats, tensor

ANYWHERE: dict[str, Callable[[Any], Any]] = {
    "abs": np.abs,
    "atan": np.arctan,
    "ceil": np.ceil,
    "cos": np.cos,
    "cosh": np.cosh,
    "erf": np.vectorize(math.erf, otypes=[float]),
    "exp": np.exp,
    "exp2": np.exp2,
    "floor": np.floor,
    "round": np.rint,
    "sign": np.sign,
    "sin": np.sin,
    "sinh": np.sinh,
    "square": np.square,
    "tanh": np.tanh,
}
WITHIN: dict[str, tuple[Callable[[Any], Any], float, float]] = {
    "acos": (np.arccos, -1, 1),
    "asin": (np.arcsin, -1, 1),
    "atanh": (np.arctanh, -0.9375, 0.9375),
    "sqrt": (np.sqrt, 0, 100),
    "tan": (np.tan, -1.5, 1.5),
}
TYPES = {
    "bool": np.bool_,
    "fp16": np.float16,
    "fp32": np.float32,
    "int8": np.int8,
    "int16": np.int16,
    "int32": np.int32,
    "uint8": np.uint8,
    "uint16": np.uint16,
}
WITH_EPSILON: dict[str, Callable[[Any], Any]] = {
    "inverse": np.reciprocal,
    "log": np.log,
    "rsqrt": lambda x: 1 / np.sqrt(x),
}


@pytest.mark.parametrize("name", ANYWHERE)
@settings(max_examples=20)
@given(x=floats())
def test_functions_of_any_number(name: str, x: Array) -> None:
    assert_close(getattr(unary, name)(tensor(x)), ANYWHERE[name](x.astype(np.float64)))


@pytest.mark.parametrize("name", WITHIN)
@settings(max_examples=20)
@given(data=st.data())
def test_functions_within_their_domain(name: str, data: st.DataObject) -> None:
    function, low, high = WITHIN[name]
    x = data.draw(floats(low=low, high=high))
    assert_close(getattr(unary, name)(tensor(x)), function(x.astype(np.float64)), 5e-5)


@pytest.mark.parametrize("name", WITH_EPSILON)
@settings(max_examples=20)
@given(x=floats(low=0.125, high=9), epsilon=st.floats(0, 2, width=32))
def test_epsilon_is_added_first(name: str, x: Array, epsilon: float) -> None:
    assert_close(getattr(unary, name)(tensor(x), epsilon), WITH_EPSILON[name](x.astype(np.float64) + epsilon))


def test_logarithm_of_zero_is_finite_by_default() -> None:
    assert unary.log(torch.zeros(1)).item() == pytest.approx(math.log(1.4e-45), rel=1e-3)


@pytest.mark.parametrize("name", ["abs", "sign", "square"])
def test_integers_stay_integers(name: str) -> None:
    x = np.arange(-3, 4, dtype=np.int32)
    result = getattr(unary, name)(tensor(x))
    assert result.dtype == torch.int32 and result.tolist() == ANYWHERE[name](x).tolist()


def test_power_of_two_of_integers() -> None:
    result = unary.exp2(torch.tensor([-1, 0, 1, 30], dtype=torch.int32))
    assert result.dtype == torch.int32 and result.tolist() == [0, 1, 2, 1 << 30]


@given(x=floats(), bounds=st.tuples(st.floats(-3, 3, width=32), st.floats(-3, 3, width=32)))
def test_clip_with_the_upper_bound_last(x: Array, bounds: tuple[float, float]) -> None:
    assert_close(unary.clip(tensor(x), *bounds), np.minimum(np.maximum(x, bounds[0]), bounds[1]))


@given(x=floats(), alpha=st.integers(-3, 3))
def test_threshold_is_a_lower_bound(x: Array, alpha: int) -> None:
    for numbers in (x, x.astype(np.int32)):
        bounded = unary.threshold(tensor(numbers), alpha)
        assert bounded.dtype == tensor(numbers).dtype
        np.testing.assert_array_equal(bounded, np.where(numbers > alpha, numbers, alpha))


@given(x=floats())
def test_logical_not(x: Array) -> None:
    np.testing.assert_array_equal(unary.logical_not(tensor(x > 0)), ~(x > 0))


@pytest.mark.parametrize(
    "dtype, expected",
    [
        ("int32", [-1, 0, 0, 1, 200]),
        ("bool", [True, True, False, True, True]),
        ("fp32", [-1.75, 0.25, 0, 1.5, 200]),
        ("fp16", [-1.75, 0.25, 0, 1.5, 200]),
    ],
)
def test_cast_of_floats(dtype: str, expected: list[Any]) -> None:
    assert unary.cast(torch.tensor([-1.75, 0.25, 0, 1.5, 200]), dtype).tolist() == expected


@pytest.mark.parametrize("target", TYPES)
@pytest.mark.parametrize("source", TYPES)
@settings(max_examples=5)
@given(x=floats(low=0, high=100))
def test_cast_between_all_types(source: str, target: str, x: Array) -> None:
    given = x.astype(TYPES[source])
    result = unary.cast(tensor(given), target)
    np.testing.assert_array_equal(result.numpy(), given.astype(TYPES[target]), strict=True)


def test_cast_to_an_unknown_type() -> None:
    with pytest.raises(UnsupportedModelError, match="unknown element type 'fp8'"):
        unary.cast(torch.zeros(1), "fp8")
