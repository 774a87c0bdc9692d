"""One step of a recurrent layer, and how steps follow each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.fx.experimental.symbolic_shapes import has_free_unbacked_symbols

from mlpress.ops.operands import check_choice

Function = Callable[[Tensor], Tensor]
Step = Callable[..., tuple[Tensor, ...]]


def _linear(x: Tensor) -> Tensor:
    return x


def _hard_sigmoid(x: Tensor) -> Tensor:
    return (0.2 * x + 0.5).clamp(0, 1)


ACTIVATIONS: Final[dict[str, Function]] = {
    "hard_sigmoid": _hard_sigmoid,
    "linear": _linear,
    "relu": torch.relu,
    "scaled_tanh": torch.tanh,  # both scales are 1 in recurrent layers
    "sigmoid": torch.sigmoid,
    "sigmoid_hard": _hard_sigmoid,
    "tanh": torch.tanh,
}


_FUSED_STEPS: Final = 8


def check_activations(op: str, **names: str) -> None:
    """Checks the activations of a recurrent layer, by parameter.

    Raises:
        InvalidProgramError: One of them is unknown.
    """
    for parameter, name in names.items():
        check_choice(op, parameter, name.lower(), tuple(ACTIVATIONS))


def reordered(
    weight_ih: Tensor, weight_hh: Tensor, biases: Sequence[Tensor | None], order: Sequence[int]
) -> list[Tensor]:
    """Returns weights and biases as torch's kernels take them: their gates in `order`, all biases or none."""
    given = [weight_ih, weight_hh]
    if any(bias is not None for bias in biases):
        zeros = weight_ih.new_zeros(weight_ih.shape[:1])
        given += [zeros if bias is None else bias for bias in biases]
    return [torch.cat([weight.chunk(len(order))[row] for row in order]) for weight in given]


def in_one_piece(weights: Sequence[Tensor]) -> list[Tensor]:
    """Returns the weights of all layers, for CUDA as views of one tensor that is laid out as cuDNN reads it.

    Other ones torch copies into such a tensor itself, and warns at that.
    """
    if weights[0].device.type != "cuda":
        return list(weights)
    order = sorted(range(len(weights)), key=lambda index: -weights[index].dim())  # matrices before biases
    sizes = [weights[index].numel() for index in order]
    parts = torch.split(torch.cat([weights[index].flatten() for index in order]), sizes)
    views = dict(zip(order, parts, strict=True))
    return [views[index].view_as(weight) for index, weight in enumerate(weights)]


def worth_fusing(x: Tensor) -> bool:
    """Tells whether x is so long that torch's kernels make up for the copies of weights they need."""
    return not _length_is_unknown(x) and x.shape[0] >= _FUSED_STEPS


def _length_is_unknown(x: Tensor) -> bool:
    """Tells whether only a run knows the length, so that there are types to tell, but no steps to take."""
    return not torch.compiler.is_compiling() and has_free_unbacked_symbols(x.shape[0])


def scan(gates: Tensor, state: tuple[Tensor, ...], step: Step) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Runs `step` over the first axis of `gates`.

    Args:
        gates: What the inputs contribute to each step.
        state: States before the first step; the first of them is the layer's result.
        step: From the gates of a step and the states before it to those after it.

    Returns:
        The layer's results after each step, and all states after the last.
    """
    if _length_is_unknown(gates):
        state = step(gates[0], *state)
        return state[0].expand(gates.shape[0], *state[0].shape), state
    results = []
    for gate in gates.unbind(0):
        state = step(gate, *state)
        results.append(state[0])
    return torch.stack(results), state


@dataclass(frozen=True, slots=True)
class LstmCell:
    """A step of an LSTM; rows of weights and gates are i, f, o, z.

    i, f = recurrent(gates + weight h + peephole c), z = cell(gates + weight h), c = clip(f * c + i * z),
    o = recurrent(gates + weight h + peephole c) with the new c, h = o * output(c).

    Attributes:
        weight: [4 * H, H].
        peephole: [3 * H], rows i, f, o, or None.
        functions: recurrent, cell and output activation.
        clip: Bound of the absolute value of c, or None.
    """

    weight: Tensor
    peephole: Tensor | None
    functions: tuple[Function, ...]
    clip: float | None

    def __call__(self, gates: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        recurrent, cell, output = self.functions
        i, f, o, z = (gates + F.linear(h, self.weight)).chunk(4, 1)
        if self.peephole is not None:
            to_i, to_f, to_o = self.peephole.chunk(3)
            i, f = i + to_i * c, f + to_f * c
        c = recurrent(f) * c + recurrent(i) * cell(z)
        if self.clip is not None:
            c = c.clamp(-self.clip, self.clip)
        if self.peephole is not None:
            o = o + to_o * c
        return recurrent(o) * output(c), c


@dataclass(frozen=True, slots=True)
class GruCell:
    """A step of a GRU; rows of weights and gates are r, o, z.

    r, z = recurrent(gates + weight h + bias), o = output(gates + weight (r * h) + bias) or, if `reset_after`,
    output(gates + r * (weight h + bias)), h = (1 - z) * o + z * h.

    Attributes:
        weight: [3 * H, H].
        bias: [3 * H] or None.
        recurrent: Activation of r and z.
        output: Activation of o.
        reset_after: Whether r acts behind the product with the weights.
    """

    weight: Tensor
    bias: Tensor | None
    recurrent: Function
    output: Function
    reset_after: bool

    def __call__(self, gates: Tensor, h: Tensor) -> tuple[Tensor]:
        from_r, from_o, from_z = gates.chunk(3, 1)
        if self.reset_after:
            of_r, of_o, of_z = F.linear(h, self.weight, self.bias).chunk(3, 1)
            r = self.recurrent(from_r + of_r)
            o = self.output(from_o + r * of_o)
        else:
            weight_r, weight_o, weight_z = self.weight.chunk(3)
            bias_r, bias_o, bias_z = (None,) * 3 if self.bias is None else self.bias.chunk(3)
            of_z = F.linear(h, weight_z, bias_z)
            r = self.recurrent(from_r + F.linear(h, weight_r, bias_r))
            o = self.output(from_o + F.linear(r * h, weight_o, bias_o))
        z = self.recurrent(from_z + of_z)
        return ((1 - z) * o + z * h,)
