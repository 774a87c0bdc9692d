"""Recurrent layers against torch's modules where they have the same, else against loops over steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mlpress.errors import InvalidProgramError
from mlpress.ops.lstm import lstm
from mlpress.ops.recurrent import gru, rnn

Array = np.ndarray[Any, Any]

FUNCTIONS: dict[str, Callable[[Array], Array]] = {
    "hard_sigmoid": lambda x: np.clip(0.2 * x + 0.5, 0, 1),
    "linear": lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "scaled_tanh": np.tanh,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "tanh": np.tanh,
}
names = st.sampled_from(sorted(FUNCTIONS))
steps = st.sampled_from([1, 2, 3, 9])  # torch's kernels are used for long sequences
directions = st.sampled_from(["forward", "reverse"])
Sizes = tuple[int, int, int]
sizes = st.tuples(*[st.integers(1, 5)] * 3)  # of the batch, an input and a state


def draw(seed: int, *shape: int) -> torch.Tensor:
    # So small that even linear gates do not make states explode.
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)) / 5


def numpy(*tensors: torch.Tensor) -> list[Array]:
    return [tensor.double().numpy() for tensor in tensors]


def check(results: tuple[torch.Tensor, ...], states: list[Array], *last: Array, sequence: bool) -> None:
    """Compares results with the states after each step, in the order in which they were made."""
    expected = [np.stack(states) if sequence else states[-1][None], *last]
    for ours, theirs in zip(results, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


@given(steps, sizes, directions, names, st.booleans(), st.booleans())
@settings(max_examples=25, deadline=None)
def test_rnn(length: int, size: Sizes, direction: str, activation: str, biased: bool, sequence: bool) -> None:
    n, inputs, width = size
    x, start, bias = draw(0, length, n, inputs), draw(1, n, width), draw(4, width)
    ih, hh = draw(2, width, inputs), draw(3, width, width)
    results = rnn(x, start, ih, hh, bias if biased else None, direction, sequence, activation)
    items, h, w, r, b = numpy(x, start, ih, hh, bias * biased)
    states = []
    for item in items[::-1] if direction == "reverse" else items:
        h = FUNCTIONS[activation](item @ w.T + h @ r.T + b)
        states.append(h)
    check(results, states, h, sequence=sequence)


@given(steps, sizes, directions, names, names, st.booleans(), st.booleans(), st.booleans())
@settings(max_examples=40, deadline=None)
def test_gru(
    length: int,
    size: Sizes,
    direction: str,
    inner: str,
    outer: str,
    biased: bool,
    sequence: bool,
    reset_after: bool,
) -> None:
    n, inputs, width = size
    x, start, bias, more = (
        draw(0, length, n, inputs),
        draw(1, n, width),
        draw(4, 3 * width),
        draw(5, 3 * width),
    )
    ih, hh = draw(2, 3 * width, inputs), draw(3, 3 * width, width)
    given = (bias if biased else None, direction, sequence, inner, outer, reset_after)
    results = gru(x, start, ih, hh, *given, more)
    items, h, w, hidden, b, c = numpy(x, start, ih, hh, bias * biased, more)
    states = []
    for item in items[::-1] if direction == "reverse" else items:
        of_r, of_o, of_z = np.split(item @ w.T + c, 3, 1)
        to_r, to_o, to_z = np.split(h @ hidden.T + b, 3, 1)
        r, z = FUNCTIONS[inner](of_r + to_r), FUNCTIONS[inner](of_z + to_z)
        if reset_after:
            o = FUNCTIONS[outer](of_o + r * to_o)
        else:
            new = slice(width, 2 * width)
            o = FUNCTIONS[outer](of_o + (r * h) @ hidden[new].T + b[new])
        h = (1 - z) * o + z * h
        states.append(h)
    check(results, states, h, sequence=sequence)


@given(
    steps,
    sizes,
    directions,
    names,
    names,
    names,
    st.booleans(),
    st.booleans(),
    st.sampled_from([None, 0.2]),
    st.booleans(),
)
@settings(max_examples=40, deadline=None)
def test_lstm(
    length: int,
    size: Sizes,
    direction: str,
    inner: str,
    cell: str,
    outer: str,
    biased: bool,
    peeps: bool,
    clip: float | None,
    sequence: bool,
) -> None:
    n, inputs, width = size
    x, h0, c0 = draw(0, length, n, inputs), draw(1, n, width), draw(2, n, width)
    ih, hh = draw(3, 4 * width, inputs), draw(4, 4 * width, width)
    bias, peephole = draw(5, 4 * width), draw(6, 3 * width)
    results = lstm(
        x,
        h0,
        c0,
        ih,
        hh,
        bias if biased else None,
        peephole if peeps else None,
        direction=direction,
        output_sequence=sequence,
        recurrent_activation=inner,
        cell_activation=cell,
        activation=outer,
        clip=clip,
    )
    items, h, c, w, r, b, p = numpy(x, h0, c0, ih, hh, bias * biased, peephole * peeps)
    states = []
    for item in items[::-1] if direction == "reverse" else items:
        i, f, o, z = np.split(item @ w.T + h @ r.T + b, 4, 1)
        to_i, to_f, to_o = np.split(p, 3)
        i, f = FUNCTIONS[inner](i + to_i * c), FUNCTIONS[inner](f + to_f * c)
        c = f * c + i * FUNCTIONS[cell](z)
        c = c if clip is None else np.clip(c, -clip, clip)
        h = FUNCTIONS[inner](o + to_o * c) * FUNCTIONS[outer](c)
        states.append(h)
    check(results, states, h, c, sequence=sequence)


def to_coreml(weight: torch.Tensor, order: tuple[int, ...]) -> torch.Tensor:
    """Returns a weight of torch with its gates in Core ML's order."""
    gates = weight.detach().chunk(len(order))
    return torch.cat([gates[gate] for gate in order])


@pytest.mark.parametrize("length", [1, 2, 9])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_lstm_is_torchs(length: int, bias: bool, bidirectional: bool) -> None:
    torch.manual_seed(length)
    module = torch.nn.LSTM(3, 4, bias=bias, bidirectional=bidirectional)
    count = 2 if bidirectional else 1
    x, h, c = torch.randn(length, 2, 3), torch.randn(count, 2, 4), torch.randn(count, 2, 4)
    states, (last_h, last_c) = module(x, (h, c))
    given: dict[str, Any] = {}
    for suffix, back in (("", ""), ("_reverse", "_back"))[:count]:
        for name in ("weight_ih", "weight_hh"):
            given[name + back] = to_coreml(getattr(module, f"{name}_l0{suffix}"), (0, 1, 3, 2))
        if bias:
            both = getattr(module, f"bias_ih_l0{suffix}") + getattr(module, f"bias_hh_l0{suffix}")
            given[f"bias{back}"] = to_coreml(both, (0, 1, 3, 2))
    given |= {"direction": "bidirectional" if bidirectional else "forward"}
    start = torch.cat(list(h), 1), torch.cat(list(c), 1)
    lasts = torch.cat(list(last_h), 1), torch.cat(list(last_c), 1)
    torch.testing.assert_close(lstm(x, *start, **given, output_sequence=True), (states, *lasts))
    torch.testing.assert_close(lstm(x, *start, **given), (lasts[0].unsqueeze(0), *lasts))


def test_a_bidirectional_lstm_step_by_step_is_the_fused_one() -> None:
    x, h, c = draw(0, 9, 2, 3), draw(1, 2, 8), draw(2, 2, 8)
    weights = {"weight_ih": draw(3, 16, 3), "weight_hh": draw(4, 16, 4), "bias_back": draw(5, 16)}
    back = {"weight_ih_back": draw(6, 16, 3), "weight_hh_back": draw(7, 16, 4), "direction": "bidirectional"}
    fused = lstm(x, h, c, **weights, **back, output_sequence=True)
    far = lstm(x, h, c, **weights, **back, output_sequence=True, clip=1000.0)
    torch.testing.assert_close(fused, far)


def test_gru_with_reset_after_is_torchs() -> None:
    torch.manual_seed(0)
    module = torch.nn.GRU(3, 4)
    x, h = torch.randn(9, 2, 3), torch.randn(1, 2, 4)
    weights = [
        to_coreml(getattr(module, f"{name}_l0"), (0, 2, 1))
        for name in ("weight_ih", "weight_hh", "bias_hh", "bias_ih")
    ]
    states, last = gru(x, h[0], *weights[:3], input_bias=weights[3], reset_after=True, output_sequence=True)
    theirs, their_last = module(x, h)
    torch.testing.assert_close((states, last), (theirs, their_last[0]))


def test_names_may_be_written_in_capitals() -> None:
    given = draw(0, 3, 2, 3), draw(1, 2, 4), draw(2, 4, 3), draw(3, 4, 4)
    torch.testing.assert_close(rnn(*given, activation="TANH"), rnn(*given))


@pytest.mark.parametrize(
    "changed, problem",
    [
        ({"direction": "backward"}, "allowed: 'bidirectional', 'forward', 'reverse'"),
        ({"activation": "swish"}, "activation is 'swish'"),
        ({"cell_activation": "swish"}, "cell_activation is 'swish'"),
        ({"direction": "bidirectional"}, "needs weight_ih_back"),
    ],
)
def test_lstm_refuses(changed: dict[str, str], problem: str) -> None:
    with pytest.raises(InvalidProgramError, match=problem):
        lstm(draw(0, 3, 2, 3), draw(1, 2, 4), draw(1, 2, 4), draw(2, 16, 3), draw(3, 16, 4), **changed)
