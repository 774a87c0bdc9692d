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
from mlpress.ops import activation
from tests.torch.ops.draws import Array, assert_close, floats, seeded, seeds, tensor

_erf = np.vectorize(math.erf, otypes=[float])

PLAIN: dict[str, Callable[[Array], Array]] = {
    "relu": lambda x: np.where(x > 0, x, 0),
    "relu6": lambda x: np.where(x > 6, 6, np.where(x > 0, x, 0)),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "silu": lambda x: x / (1 + np.exp(-x)),
    "softplus": lambda x: np.logaddexp(x, 0),
    "softsign": lambda x: x / (1 + np.abs(x)),
    "gelu": lambda x: x / 2 * (1 + _erf(x / math.sqrt(2))),
}
WITH_ALPHA: dict[str, Callable[[Array, float], Array]] = {
    "elu": lambda x, alpha: np.where(x > 0, x, alpha * np.expm1(x)),
    "leaky_relu": lambda x, alpha: np.where(x >= 0, x, alpha * x),
    "thresholded_relu": lambda x, alpha: np.where(x >= alpha, x, 0),
}
WITH_ALPHA_BETA: dict[str, Callable[[Array, float, float], Array]] = {
    "clamped_relu": lambda x, alpha, beta: np.minimum(beta, np.where(x >= 0, x, alpha * x)),
    "linear_activation": lambda x, alpha, beta: alpha * x + beta,
    "scaled_tanh": lambda x, alpha, beta: alpha * np.tanh(beta * x),
    "sigmoid_hard": lambda x, alpha, beta: np.clip(alpha * x + beta, 0, 1),
}
parameters = st.floats(-2, 2, width=32)


def _double(x: Array) -> Array:
    return np.asarray(x, np.float64)


@pytest.mark.parametrize("name", PLAIN)
@settings(max_examples=25)
@given(x=floats(low=-20, high=20))
def test_of_x_alone(name: str, x: Array) -> None:
    assert_close(getattr(activation, name)(tensor(x)), PLAIN[name](_double(x)))


@pytest.mark.parametrize("name", WITH_ALPHA)
@settings(max_examples=25)
@given(x=floats(), alpha=parameters)
def test_with_alpha(name: str, x: Array, alpha: float) -> None:
    assert_close(getattr(activation, name)(tensor(x), alpha), WITH_ALPHA[name](_double(x), alpha))


@pytest.mark.parametrize("name", WITH_ALPHA_BETA)
@settings(max_examples=25)
@given(x=floats(), alpha=parameters, beta=parameters)
def test_with_alpha_and_beta(name: str, x: Array, alpha: float, beta: float) -> None:
    expected = WITH_ALPHA_BETA[name](_double(x), alpha, beta)
    assert_close(getattr(activation, name)(tensor(x), alpha, beta), expected)


@pytest.mark.parametrize("name", [*PLAIN, *WITH_ALPHA, *WITH_ALPHA_BETA])
def test_nan_stays_nan(name: str) -> None:
    scalars = [0.5] * ((name in WITH_ALPHA) + 2 * (name in WITH_ALPHA_BETA))
    assert torch.isnan(getattr(activation, name)(torch.tensor([math.nan]), *scalars)).all()


def test_thresholded_relu_keeps_the_threshold_itself() -> None:
    kept = activation.thresholded_relu(torch.tensor([-3.0, -3.1, 2.0]), alpha=-3.0)
    assert kept.tolist() == [-3.0, 0.0, 2.0]


@pytest.mark.parametrize("x, expected", [(200.0, 200.0), (-200.0, 0.0)])
def test_softplus_does_not_overflow(x: float, expected: float) -> None:
    assert activation.softplus(torch.tensor(x)).item() == expected
    channel = torch.tensor([1.0])
    assert activation.softplus_parametric(torch.full((1, 1, 1), x), channel, channel).item() == expected


@pytest.mark.parametrize(
    "mode, function",
    [
        (
            "TANH_APPROXIMATION",
            lambda x: x / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
        ),
        ("SIGMOID_APPROXIMATION", lambda x: x / (1 + np.exp(-1.702 * x))),
    ],
)
@settings(max_examples=25)
@given(x=floats())
def test_approximations_of_gelu(mode: str, function: Callable[[Array], Array], x: Array) -> None:
    assert_close(activation.gelu(tensor(x), mode), function(_double(x)))


def test_unknown_mode_of_gelu() -> None:
    with pytest.raises(InvalidProgramError, match="mode is 'FAST'; allowed: 'EXACT'"):
        activation.gelu(torch.zeros(1), "FAST")


@settings(max_examples=25)
@given(
    shape=arrays.array_shapes(min_dims=2, max_dims=5, min_side=0, max_side=4),
    seed=seeds,
)
def test_parameters_of_channels(shape: tuple[int, ...], seed: int) -> None:
    channels = shape[1]
    x, alpha, beta = seeded(seed, *shape), seeded(seed + 1, channels), seeded(seed + 2, channels)
    prelu = activation.prelu(tensor(x), tensor(alpha))
    softplus = activation.softplus_parametric(tensor(x), tensor(alpha), tensor(beta))
    assert prelu.shape == softplus.shape == shape
    for channel in range(channels):
        part = _double(x[:, channel])
        assert_close(prelu[:, channel], np.where(part > 0, part, alpha[channel] * part))
        assert_close(softplus[:, channel], alpha[channel] * np.logaddexp(beta[channel] * part, 0))


@settings(max_examples=25)
@given(x=floats(arrays.array_shapes(min_dims=1, max_dims=4, max_side=4), low=-100, high=100), data=st.data())
def test_softmax(x: Array, data: st.DataObject) -> None:
    axis = data.draw(st.integers(-x.ndim, x.ndim - 1))
    powers = np.exp(_double(x) - _double(x).max(axis, keepdims=True))
    assert_close(activation.softmax(tensor(x), axis), powers / powers.sum(axis, keepdims=True))


def test_parameters_of_another_type_do_not_change_the_type_of_the_result() -> None:
    x = torch.ones(1, 2, 3, dtype=torch.float16)
    wide: dict[str, Any] = {"alpha": torch.ones(2), "beta": torch.ones(2)}
    assert activation.prelu(x, wide["alpha"]).dtype == torch.float16
    assert activation.softplus_parametric(x, **wide).dtype == torch.float16
