"""Long short-term memory."""

from __future__ import annotations

from typing import Final, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from mlpress.errors import InvalidProgramError
from mlpress.ops.cells import (
    ACTIVATIONS,
    Function,
    LstmCell,
    check_activations,
    in_one_piece,
    reordered,
    scan,
    worth_fusing,
)
from mlpress.ops.op import op
from mlpress.ops.operands import check_choice

_LSTM: Final = (
    "x:T, initial_h:T, initial_c:T, weight_ih:T const, weight_hh:T const, bias:T const?, peephole:T const?, "
    "weight_ih_back:T const?, weight_hh_back:T const?, bias_back:T const?, peephole_back:T const?, "
    "direction:string const?, output_sequence:bool const?, recurrent_activation:string const?, "
    "cell_activation:string const?, activation:string const?, clip:T const?"
)
_DIRECTIONS: Final = ("bidirectional", "forward", "reverse")


class _Layer(NamedTuple):
    weight_ih: Tensor
    weight_hh: Tensor
    bias: Tensor | None
    peephole: Tensor | None


@op(CoreML5=f"{_LSTM}; T=fp32", CoreML7=f"{_LSTM}; T=fp16|fp32")
def lstm(
    x: Tensor,
    initial_h: Tensor,
    initial_c: Tensor,
    weight_ih: Tensor,
    weight_hh: Tensor,
    bias: Tensor | None = None,
    peephole: Tensor | None = None,
    weight_ih_back: Tensor | None = None,
    weight_hh_back: Tensor | None = None,
    bias_back: Tensor | None = None,
    peephole_back: Tensor | None = None,
    direction: str = "forward",
    output_sequence: bool = False,
    recurrent_activation: str = "sigmoid",
    cell_activation: str = "tanh",
    activation: str = "tanh",
    clip: float | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """States c = f * c + i * z, h = o * activation(c), as `mlpress.ops.cells.LstmCell` has them.

    Returns h after all steps, [s, b, H], or after the last, [1, b, H]; and the last h and c, [b, H].
    In ``reverse``, h comes in the order in which it was made, beginning with that of the last element of x.
    ``bidirectional`` has a second layer, with the weights ``..._back``, that goes in reverse; its h, in the
    order of x, is the second half of the features, of which there are 2 * H.
    """
    check_choice("lstm", "direction", direction, _DIRECTIONS)
    names = (recurrent_activation, cell_activation, activation)
    check_activations("lstm", recurrent_activation=names[0], cell_activation=names[1], activation=names[2])
    functions = tuple(ACTIVATIONS[name.lower()] for name in names)
    layers = [_Layer(weight_ih, weight_hh, bias, peephole)]
    if direction == "bidirectional":
        if weight_ih_back is None or weight_hh_back is None:
            raise InvalidProgramError("lstm: bidirectional needs weight_ih_back and weight_hh_back")
        layers.append(_Layer(weight_ih_back, weight_hh_back, bias_back, peephole_back))
    x = x.flip(0) if direction == "reverse" else x
    standard = functions == (torch.sigmoid, torch.tanh, torch.tanh) and clip is None
    if standard and worth_fusing(x) and all(layer.peephole is None for layer in layers):
        states, h, c = _fused(x, initial_h, initial_c, layers)
    else:
        states, h, c = _stepwise(x, initial_h, initial_c, layers, functions, clip)
    return states if output_sequence else h.unsqueeze(0), h, c


def _fused(x: Tensor, h: Tensor, c: Tensor, layers: list[_Layer]) -> tuple[Tensor, Tensor, Tensor]:
    biased = any(layer.bias is not None for layer in layers)
    weights: list[Tensor] = []
    for layer in layers:
        zeros = layer.weight_ih.new_zeros(layer.weight_ih.shape[:1]) if biased else None
        bias = zeros if layer.bias is None else layer.bias
        weights += reordered(layer.weight_ih, layer.weight_hh, (bias, zeros), (0, 1, 3, 2))
    count = len(layers)
    start = torch.stack(h.chunk(count, 1)), torch.stack(c.chunk(count, 1))
    train = torch.is_grad_enabled()
    weights = in_one_piece(weights)
    states, last_h, last_c = torch.lstm(x, start, weights, biased, 1, 0.0, train, count == 2, False)
    return states, torch.cat(last_h.unbind(0), 1), torch.cat(last_c.unbind(0), 1)


def _stepwise(
    x: Tensor,
    h: Tensor,
    c: Tensor,
    layers: list[_Layer],
    functions: tuple[Function, ...],
    clip: float | None,
) -> tuple[Tensor, Tensor, Tensor]:
    count = len(layers)
    results = []
    for index, (layer, *start) in enumerate(zip(layers, h.chunk(count, 1), c.chunk(count, 1), strict=True)):
        gates = F.linear(x.flip(0) if index == 1 else x, layer.weight_ih, layer.bias)
        cell = LstmCell(layer.weight_hh, layer.peephole, functions, clip)
        states, last = scan(gates, tuple(start), cell)
        results.append((states.flip(0) if index == 1 else states, *last))
    states, last_h, last_c = (torch.cat(parts, -1) for parts in zip(*results, strict=True))
    return states, last_h, last_c
