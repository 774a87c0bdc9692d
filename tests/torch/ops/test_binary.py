from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mlpress.ops import binary
from tests.torch.ops.draws import Array, assert_close, tensor

ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "maximum": np.maximum,
    "minimum": np.minimum,
}
COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "equal": operator.eq,
    "not_equal": operator.ne,
    "greater": operator.gt,
    "greater_equal": operator.ge,
    "less": operator.lt,
    "less_equal": operator.le,
}
LOGIC: dict[str, Callable[[Any, Any], Any]] = {
    "logical_and": operator.and_,
    "logical_or": operator.or_,
    "logical_xor": operator.xor,
}
broadcastable = arrays.mutually_broadcastable_shapes(num_shapes=2, min_side=0, max_side=3, max_dims=4)
whole = st.integers(-50, 50)
Pair = tuple[Array, Array]


def pairs(
    kind: Any, xs: st.SearchStrategy[Any], ys: st.SearchStrategy[Any]
) -> st.SearchStrategy[tuple[Array, Array]]:
    """Two arrays of `kind` that broadcast, with elements of `xs` and `ys`."""
    return broadcastable.flatmap(
        lambda shapes: st.tuples(
            *(
                arrays.arrays(kind, shape, elements=elements)
                for shape, elements in zip(shapes.input_shapes, (xs, ys), strict=True)
            )
        )
    )


def _each(function: Callable[[Any, Any], Any], x: Array, y: Array) -> Array:
    """Returns `function`, of Python's own numbers, of each pair of elements."""
    return np.vectorize(function, otypes=[float])(x, y)


@pytest.mark.parametrize("name", [*ARITHMETIC, *COMPARISONS])
@pytest.mark.parametrize("kind", [np.float32, np.int32])
@settings(max_examples=10)
@given(shapes=broadcastable, data=st.data())
def test_numbers_broadcast(name: str, kind: Any, shapes: Any, data: st.DataObject) -> None:
    x, y = (data.draw(arrays.arrays(kind, shape, elements=whole)) for shape in shapes.input_shapes)
    function = ARITHMETIC.get(name) or COMPARISONS[name]
    result = getattr(binary, name)(tensor(x), tensor(y))
    assert result.dtype == (torch.bool if name in COMPARISONS else tensor(x).dtype)
    assert tuple(result.shape) == shapes.result_shape
    np.testing.assert_array_equal(result.numpy(), function(x, y))


@pytest.mark.parametrize("name", LOGIC)
@settings(max_examples=20)
@given(pair=pairs(np.bool_, st.booleans(), st.booleans()))
def test_logic(name: str, pair: Pair) -> None:
    result = getattr(binary, name)(*map(tensor, pair))
    np.testing.assert_array_equal(result.numpy(), LOGIC[name](*pair))


@pytest.mark.parametrize("kind", [np.float32, np.int32])
@settings(max_examples=50)
@given(data=st.data())
def test_division_rounds_down_and_mod_has_the_sign_of_the_divisor(kind: Any, data: st.DataObject) -> None:
    x, y = data.draw(pairs(kind, whole, whole.filter(bool)))
    quotient, remainder = binary.floor_div(tensor(x), tensor(y)), binary.mod(tensor(x), tensor(y))
    assert quotient.dtype == remainder.dtype == tensor(x).dtype
    np.testing.assert_array_equal(quotient.numpy(), _each(operator.floordiv, x, y))
    np.testing.assert_array_equal(remainder.numpy(), _each(operator.mod, x, y))


@given(pair=pairs(np.int32, whole, whole.filter(bool)))
def test_real_division_of_integers_drops_the_fraction(pair: Pair) -> None:
    result = binary.real_div(*map(tensor, pair))
    assert result.dtype == torch.int32
    np.testing.assert_array_equal(result.numpy(), _each(lambda x, y: int(x / y), *pair))


@given(pair=pairs(np.float32, st.floats(-8, 8, width=32), st.floats(0.125, 8, width=32)))
def test_real_division_of_floats(pair: Pair) -> None:
    x, y = pair
    assert_close(binary.real_div(tensor(x), tensor(y)), x.astype(np.float64) / y)


def test_real_division_of_floats_by_zero_is_infinite() -> None:
    zeros = torch.zeros(3)
    assert binary.real_div(torch.tensor([1.0, -1, 0]), zeros).tolist() == pytest.approx(
        [np.inf, -np.inf, np.nan], nan_ok=True
    )


@given(pair=pairs(np.float32, st.floats(0.125, 8, width=32), st.floats(-3, 3, width=32)))
def test_power_of_floats(pair: Pair) -> None:
    x, y = pair
    assert_close(binary.pow(tensor(x), tensor(y)), x.astype(np.float64) ** y)


@given(pair=pairs(np.int32, st.integers(-7, 7), st.integers(0, 9)))
def test_power_of_integers_is_exact(pair: Pair) -> None:
    result = binary.pow(*map(tensor, pair))
    assert result.dtype == torch.int32
    np.testing.assert_array_equal(result.numpy(), _each(operator.pow, *pair))


@pytest.mark.parametrize("name", ["maximum", "minimum"])
def test_nan_wins(name: str) -> None:
    x, y = torch.tensor([np.nan, 1.0]), torch.tensor([1.0, np.nan])
    assert torch.isnan(getattr(binary, name)(x, y)).all()


def test_the_gradient_of_floor_division_is_zero() -> None:
    x = torch.tensor(7.5, requires_grad=True)
    binary.floor_div(x, torch.tensor(2.0)).backward()
    assert x.grad is not None and x.grad.item() == 0
