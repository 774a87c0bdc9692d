"""Products of 8-bit integers by int8 weights, as torch has them for devices other than the CPU.

dequantize, linear                         -> one product of matrices, summed in whole numbers
dequantize, conv with a window of one      -> the same, of the channels at each place
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Final

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from mlpress.runtime.fast.integer_weight import IntegerWeight, integer_weight
from mlpress.runtime.fast.nodes import argument, encoding_of, is_product, kind, parameters, take_place
from mlpress.runtime.parts import Parts

_LEAST_ROWS: Final = 17
_FEATURE_STEP: Final = 8
"""What `torch._int_mm` asks for on CUDA: at least so many rows, and features in steps (torch 2.9 to 2.13)."""

_MOST_FEATURES: Final = 1 << 16
"""Sums of so many products stay within int32."""

_UNSIGNED_MIDDLE: Final = 128
"""What is taken off integers of uint8, and off their zero point, to have int8."""


class IntegerProduct(nn.Module):
    """``scale * (x - zero) * weight + bias`` for integers x, by an int8 weight, with channels on one axis."""

    _integers: Tensor
    _scale: Tensor
    _shift: Tensor
    _unsigned_shift: Tensor

    def __init__(
        self,
        weight: IntegerWeight,
        bias: Tensor | None,
        scale: float,
        zero: int,
        strides: Sequence[int] | None = None,
    ) -> None:
        """Takes what the integers of the input stand for.

        Args:
            weight: [channels out, channels in], and axes of one element for a convolution.
            bias: float32 [channels out], or None.
            scale: What a step of the input's integers stands for.
            zero: The integer that stands for 0.
            strides: Those of a convolution, whose channels are axis 1; None for a linear layer, whose
                features are the last.
        """
        super().__init__()
        integers = torch.tensor(weight.integers()).flatten(1)
        factor = torch.from_numpy(weight.scale).double() * scale
        totals = factor * integers.sum(1, dtype=torch.int64)
        self.register_buffer("_integers", integers)
        self.register_buffer("_scale", factor.float())
        for name, at in (("_shift", zero), ("_unsigned_shift", zero - _UNSIGNED_MIDDLE)):
            shift = -at * totals if bias is None else bias.detach() - at * totals
            self.register_buffer(name, shift.float())
        self._strides = strides

    def forward(self, x: Tensor) -> Tensor:
        """Returns float32 of integers, int8 or uint8."""
        if self._strides is None:
            return self._multiply(x)
        steps = (slice(None), slice(None), *(slice(None, None, step) for step in self._strides))
        return self._multiply(x[steps].movedim(1, -1)).movedim(-1, 1)

    def _multiply(self, x: Tensor) -> Tensor:
        shift = self._shift
        if x.dtype == torch.uint8:
            x, shift = (x ^ _UNSIGNED_MIDDLE).view(torch.int8), self._unsigned_shift
        sums = self._sums(x.reshape(x.shape[:-1].numel(), x.shape[-1]))
        return torch.addcmul(shift, sums.float(), self._scale).reshape(*x.shape[:-1], len(self._integers))

    def _sums(self, rows: Tensor) -> Tensor:
        """Returns int32 [rows, channels out], exact."""
        count = len(rows)
        if count < _LEAST_ROWS:
            rows = functional.pad(rows, (0, 0, 0, _LEAST_ROWS - count))
        return torch._int_mm(rows, self._integers.t())[:count]


def multiply_integers(graph: fx.Graph, parts: Parts, node: fx.Node) -> None:
    """Lets `node`, a linear layer or convolution, multiply integers, if its input and its weight are some."""
    weight, source, bias_node = _weight(node), argument(node, "x"), argument(node, "bias")
    found = parameters(parts, source) if kind(source) == "dequantize" else None
    bias = None if bias_node is None else parts.constant(bias_node)
    if weight is None or found is None or (bias_node is not None and bias is None):
        return
    axes = len(weight.encoding.shape) - 2
    strides = argument(node, "strides", (1,) * axes) if kind(node) == "conv" else None
    path = parts.keep_module(node.name, IntegerProduct(weight, bias, *found, strides))
    with graph.inserting_before(node):
        new = graph.call_module(path, (argument(source, "input"),))
    take_place(graph, node, new)


def _weight(node: fx.Node) -> IntegerWeight | None:
    read = argument(node, "weight")
    encoding = encoding_of(read) if read.op == "get_attr" else None  # one that stays encoded is no int8
    if encoding is None or not is_product(node, encoding):
        return None
    n, k = encoding.shape[:2]
    fits = n % _FEATURE_STEP == 0 and k % _FEATURE_STEP == 0 and 0 < k <= _MOST_FEATURES
    return integer_weight(encoding) if fits else None


@cache
def multiplies_exactly(device: torch.device) -> bool:
    """Whether torch multiplies matrices of int8 on `device`, which old ones do not, and gets them right."""
    x = torch.arange(_LEAST_ROWS * 64).remainder(255).sub(127).reshape(_LEAST_ROWS, 64)
    weight = torch.arange(24 * 64).mul(89).remainder(256).sub(128).reshape(24, 64)
    try:
        product = torch._int_mm(x.to(device, torch.int8), weight.to(device, torch.int8).t())
    except (NotImplementedError, RuntimeError):
        return False
    return torch.equal(product.cpu().long(), x @ weight.t())
