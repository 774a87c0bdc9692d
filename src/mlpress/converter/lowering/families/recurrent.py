"""Recurrent layers. Torch stacks layers in one operator; MIL has an op for each layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from mlpress.converter.lowering.context import Context
from mlpress.converter.lowering.errors import LoweringError
from mlpress.converter.lowering.families.gru_loop import gru_loop
from mlpress.converter.lowering.registry import lowers
from mlpress.mil import Opset, Value

_LSTM_GATES: Final = (0, 1, 3, 2)  # torch: input, forget, cell, output; MIL: input, forget, output, cell
_GRU_GATES: Final = (0, 2, 1)  # torch: reset, update, new; MIL: reset, new, update

Array = npt.NDArray[Any]
Weights = tuple[Array, Array, Array | None, Array | None]
"""Of one layer in one direction: for the input, for the state, and their biases."""


def _layers(
    context: Context,
    parameters: Sequence[Value],
    biased: bool,
    layers: int,
    directions: int,
    gates: Sequence[int],
) -> list[list[Weights]]:
    arrays = [context.array(parameter) for parameter in parameters]
    if any(array is None for array in arrays):
        raise LoweringError("the weights of a recurrent layer are computed in a run")
    each = 4 if biased else 2
    if len(arrays) != layers * directions * each:
        raise LoweringError("a recurrent layer with a projection (proj_size)")
    ordered = [_reordered(array, gates) for array in arrays if array is not None]
    groups = [ordered[start : start + each] for start in range(0, len(ordered), each)]
    made: list[Weights] = [(g[0], g[1], g[2], g[3]) if biased else (g[0], g[1], None, None) for g in groups]
    return [made[start : start + directions] for start in range(0, len(made), directions)]


def _reordered(array: Array, gates: Sequence[int]) -> Array:
    parts = np.split(array, len(gates)) if len(gates) > 1 else [array]
    return np.concatenate([parts[gate] for gate in gates])


def _sum(first: Array | None, second: Array | None) -> Array | None:
    return None if first is None or second is None else first + second


def _parts(context: Context, x: Value, count: int) -> list[Value]:
    """Returns the parts of [count, b, h] along the first axis, each [b, h]."""
    if count == 1:
        return [context.squeeze(x, [0])]
    return [context.squeeze(part, [0]) for part in context.ops("split", x=x, num_splits=count, axis=0)]


def _sequence_first(context: Context, x: Value, batch_first: bool) -> Value:
    return context.transpose(x, [1, 0, 2]) if batch_first else x


@lowers("aten.lstm.input")
def lstm(
    context: Context,
    x: Value,
    states: Sequence[Value],
    parameters: Sequence[Value],
    biased: bool,
    layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
) -> tuple[Value, Value, Value]:
    """Long short-term memory."""
    del dropout, train
    directions = 2 if bidirectional else 1
    weights = _layers(context, parameters, biased, layers, directions, _LSTM_GATES)
    h, c = (_parts(context, state, layers * directions) for state in states)
    x = _sequence_first(context, x, batch_first)
    last_h: list[Value] = []
    last_c: list[Value] = []
    for index, layer in enumerate(weights):
        own = slice(index * directions, (index + 1) * directions)
        x, layer_h, layer_c = _lstm_layer(context, x, h[own], c[own], layer)
        last_h += _directions(context, layer_h, directions)
        last_c += _directions(context, layer_c, directions)
    stacked = [context.op("stack", values=last, axis=0) for last in (last_h, last_c)]
    return _sequence_first(context, x, batch_first), stacked[0], stacked[1]


def _lstm_layer(
    context: Context, x: Value, h: Sequence[Value], c: Sequence[Value], layer: Sequence[Weights]
) -> tuple[Value, ...]:
    operands: dict[str, Any] = {}
    for suffix, (input_weight, state_weight, first, second) in zip(("", "_back"), layer, strict=False):
        operands[f"weight_ih{suffix}"] = input_weight
        operands[f"weight_hh{suffix}"] = state_weight
        operands[f"bias{suffix}"] = _sum(first, second)
    return context.ops(
        "lstm",
        x=x,
        initial_h=context.concat(h, 1),
        initial_c=context.concat(c, 1),
        direction="forward" if len(layer) == 1 else "bidirectional",
        output_sequence=True,
        **operands,
    )


def _directions(context: Context, state: Value, directions: int) -> list[Value]:
    """Returns the states of each direction, which stand side by side."""
    return [state] if directions == 1 else list(context.ops("split", x=state, num_splits=2, axis=1))


Layer = Callable[[Context, Value, Value, Weights, str], tuple[Value, ...]]


def _one_state(
    context: Context,
    x: Value,
    state: Value,
    weights: Sequence[Sequence[Weights]],
    batch_first: bool,
    layer: Layer,
) -> tuple[Value, Value]:
    """Runs layers with one state; a direction in reverse is an op of its own."""
    directions = len(weights[0])
    states = iter(_parts(context, state, len(weights) * directions))
    x = _sequence_first(context, x, batch_first)
    last: list[Value] = []
    for one in weights:
        sequences: list[Value] = []
        for direction, own in zip(("forward", "reverse"), one, strict=False):
            sequence, end = layer(context, x, next(states), own, direction)
            last.append(end)
            sequences.append(
                sequence if direction == "forward" else context.op("reverse", x=sequence, axes=[0])
            )
        x = context.concat(sequences, 2)
    return _sequence_first(context, x, batch_first), context.op("stack", values=last, axis=0)


@lowers("aten.gru.input")
def gru(
    context: Context,
    x: Value,
    state: Value,
    parameters: Sequence[Value],
    biased: bool,
    layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
) -> tuple[Value, Value]:
    """Gated recurrent units; before iOS 18 MIL's op resets elsewhere, so there the steps are a loop."""
    del dropout, train
    weights = _layers(context, parameters, biased, layers, 2 if bidirectional else 1, _GRU_GATES)
    layer = _gru_layer if context.opset >= Opset.CoreML8 else gru_loop
    return _one_state(context, x, state, weights, batch_first, layer)


def _gru_layer(context: Context, x: Value, h: Value, weights: Weights, direction: str) -> tuple[Value, ...]:
    input_weight, state_weight, input_bias, bias = weights
    return context.ops(
        "gru",
        x=x,
        initial_h=h,
        weight_ih=input_weight,
        weight_hh=state_weight,
        bias=bias,
        input_bias=input_bias,
        direction=direction,
        output_sequence=True,
        reset_after=True,
    )


def _rnn(activation: str) -> Callable[..., tuple[Value, Value]]:
    def layer(context: Context, x: Value, h: Value, weights: Weights, direction: str) -> tuple[Value, ...]:
        return context.ops(
            "rnn",
            x=x,
            initial_h=h,
            weight_ih=weights[0],
            weight_hh=weights[1],
            bias=_sum(weights[2], weights[3]),
            direction=direction,
            output_sequence=True,
            activation=activation,
        )

    def function(
        context: Context,
        x: Value,
        state: Value,
        parameters: Sequence[Value],
        biased: bool,
        layers: int,
        dropout: float,
        train: bool,
        bidirectional: bool,
        batch_first: bool,
    ) -> tuple[Value, Value]:
        del dropout, train
        weights = _layers(context, parameters, biased, layers, 2 if bidirectional else 1, (0,))
        return _one_state(context, x, state, weights, batch_first, layer)

    return function


lowers("aten.rnn_tanh.input")(_rnn("tanh"))
lowers("aten.rnn_relu.input")(_rnn("relu"))
