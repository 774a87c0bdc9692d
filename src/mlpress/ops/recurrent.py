"""Recurrent layers with one state, over sequences x [s, b, I].

The results are the states after all steps, [s, b, H], or after the last, [1, b, H]; and the last, [b, H]. In
``reverse``, states come in the order in which they were made: that of the last element of x is the first.
"""

from __future__ import annotations

from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

from mlpress.ops.cells import (
    ACTIVATIONS,
    GruCell,
    check_activations,
    in_one_piece,
    reordered,
    scan,
    worth_fusing,
)
from mlpress.ops.op import op
from mlpress.ops.operands import check_choice

_START: Final = "x:T, initial_h:T, weight_ih:T const, weight_hh:T const, bias:T const?"
_END: Final = "direction:string const?, output_sequence:bool const?"
_RNN: Final = f"{_START}, {_END}, activation:string const?"
_GRU: Final = f"{_START}, {_END}, recurrent_activation:string const?, activation:string const?"
_DIRECTIONS: Final = ("forward", "reverse")


@op(CoreML5=f"{_RNN}; T=fp32", CoreML7=f"{_RNN}; T=fp16|fp32")
def rnn(
    x: Tensor,
    initial_h: Tensor,
    weight_ih: Tensor,
    weight_hh: Tensor,
    bias: Tensor | None = None,
    direction: str = "forward",
    output_sequence: bool = False,
    activation: str = "tanh",
) -> tuple[Tensor, Tensor]:
    """State = activation(weight_ih x + weight_hh state + bias)."""
    check_choice("rnn", "direction", direction, _DIRECTIONS)
    check_activations("rnn", activation=activation)
    function = ACTIVATIONS[activation.lower()]
    gates = F.linear(x.flip(0) if direction == "reverse" else x, weight_ih, bias)
    states, (last,) = scan(gates, (initial_h,), lambda gate, h: (function(gate + F.linear(h, weight_hh)),))
    return states if output_sequence else last.unsqueeze(0), last


@op(
    CoreML5=f"{_GRU}; T=fp32",
    CoreML7=f"{_GRU}; T=fp16|fp32",
    CoreML8=f"{_GRU}, reset_after:bool const?, input_bias:T const?; T=fp16|fp32",
)
def gru(
    x: Tensor,
    initial_h: Tensor,
    weight_ih: Tensor,
    weight_hh: Tensor,
    bias: Tensor | None = None,
    direction: str = "forward",
    output_sequence: bool = False,
    recurrent_activation: str = "sigmoid",
    activation: str = "tanh",
    reset_after: bool = False,
    input_bias: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """State = (1 - z) * o + z * state, as `mlpress.ops.cells.GruCell` has it."""
    check_choice("gru", "direction", direction, _DIRECTIONS)
    check_activations("gru", recurrent_activation=recurrent_activation, activation=activation)
    names = (recurrent_activation.lower(), activation.lower())
    x = x.flip(0) if direction == "reverse" else x
    if reset_after and names == ("sigmoid", "tanh") and worth_fusing(x):
        weights = in_one_piece(reordered(weight_ih, weight_hh, (input_bias, bias), (0, 2, 1)))
        biased, train = len(weights) == 4, torch.is_grad_enabled()
        states, (last,) = torch.gru(x, initial_h.unsqueeze(0), weights, biased, 1, 0.0, train, False, False)
    else:
        cell = GruCell(weight_hh, bias, ACTIVATIONS[names[0]], ACTIVATIONS[names[1]], reset_after)
        states, (last,) = scan(F.linear(x, weight_ih, input_bias), (initial_h,), cell)
    return states if output_sequence else last.unsqueeze(0), last
