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
from tests.torch.ops.draws import assert_close, tensor

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
def test_logic(name: str) -> None:
    for x in (False, True):
        for y in (False, True):
            assert getattr(binary, name)(torch.tensor([x]), torch.tensor(y)).tolist() == [LOGIC[name](x, y)]


@pytest.mark.parametrize("kind", [torch.float32, torch.int32])
@given(x=whole, y=whole.filter(bool))
def test_division_rounds_down_and_mod_has_the_sign_of_the_divisor(kind: torch.dtype, x: int, y: int) -> None:
    left, right = torch.tensor(x, dtype=kind), torch.tensor(y, dtype=kind)
    quotient, remainder = binary.floor_div(left, right), binary.mod(left, right)
    assert (quotient.item(), remainder.item()) == (x // y, x % y)
    assert quotient.dtype == remainder.dtype == kind


@given(x=whole, y=whole.filter(bool))
def test_real_division_of_integers_drops_the_fraction(x: int, y: int) -> None:
    result = binary.real_div(torch.tensor(x, dtype=torch.int32), torch.tensor(y, dtype=torch.int32))
    assert result.dtype == torch.int32 and result.item() == int(x / y)


def test_real_division_of_floats_by_zero_is_infinite() -> None:
    zeros = torch.zeros(3)
    assert binary.real_div(torch.tensor([1.0, -1, 0]), zeros).tolist() == pytest.approx(
        [np.inf, -np.inf, np.nan], nan_ok=True
    )


@given(x=st.floats(0.125, 8, width=32), y=st.floats(-3, 3, width=32))
def test_power_of_floats(x: float, y: float) -> None:
    assert_close(binary.pow(torch.tensor(x), torch.tensor(y)), x**y)


@given(x=st.integers(-7, 7), y=st.integers(0, 9))
def test_power_of_integers_is_exact(x: int, y: int) -> None:
    result = binary.pow(torch.tensor([x], dtype=torch.int32), torch.tensor(y, dtype=torch.int32))
    assert result.dtype == torch.int32 and result.tolist() == [x**y]


@pytest.mark.parametrize("name", ["maximum", "minimum"])
def test_nan_wins(name: str) -> None:
    x, y = torch.tensor([np.nan, 1.0]), torch.tensor([1.0, np.nan])
    assert torch.isnan(getattr(binary, name)(x, y)).all()


def test_the_gradient_of_floor_division_is_zero() -> None:
    x = torch.tensor(7.5, requires_grad=True)
    binary.floor_div(x, torch.tensor(2.0)).backward()
    assert x.grad is not None and x.grad.item() == 0
