"""Convolutions and linear layers of 8-bit codes by int8 weights, which oneDNN computes in whole numbers.

A sum of products of codes is exact; what follows it (scales, bias, activation, rounding to codes) is float32
arithmetic on the sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn

from mlpress.ops.padding import symmetric, window_pads
from mlpress.runtime.fast import codes as ops
from mlpress.runtime.fast.activations import Activation
from mlpress.runtime.fast.grid import Grid
from mlpress.runtime.fast.integer_weight import IntegerWeight


@dataclass(frozen=True, slots=True)
class Finish:
    """What is done with sums of products.

    Attributes:
        activation: A function of each element.
        grid: The codes of the result; None for a result in float32.
    """

    activation: Activation
    grid: Grid | None

    def arguments(self) -> tuple[Any, ...]:
        """Returns it as oneDNN's operators take it."""
        scale, zero, dtype = 1.0, 0, torch.float32
        if self.grid is not None:
            scale, zero, dtype = self.grid.scale, self.grid.zero, torch.uint8
        applied = self.activation
        return scale, zero, dtype, applied.name, list(applied.parameters), applied.algorithm


@dataclass(frozen=True, slots=True)
class Window:
    """How a convolution moves its weight over an image; see `mlpress.ops.conv.conv`."""

    strides: Sequence[int]
    pad_type: str
    pad: Sequence[int] | None
    dilations: Sequence[int]
    groups: int


_CONVOLUTIONS: Final = {4: "qconv2d_pointwise", 5: "qconv3d_pointwise"}


def is_available() -> bool:
    """Whether oneDNN multiplies 8-bit numbers here without losing any bit of a sum."""
    has_library: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return has_library and torch.cpu._is_vnni_supported()


class _Layer(nn.Module):
    """Keeps a weight laid out for the shape of the last input."""

    def __init__(self, weight: IntegerWeight, bias: Tensor | None, source: Grid, finish: Finish) -> None:
        super().__init__()
        self._weight = weight
        self._bias = None if bias is None else bias.detach().float().expand(len(weight.scale)).contiguous()
        self._scale = torch.from_numpy(weight.scale)
        self._zeros = torch.zeros(len(weight.scale), dtype=torch.int32)
        self._source = source
        self._finish = finish
        self._packed: tuple[tuple[int, ...], Tensor] | None = None

    def _integers(self) -> Tensor:
        return torch.tensor(self._weight.integers())  # a copy: what is mapped cannot be written to


class QuantizedConv(_Layer):
    """A convolution of codes, over one to three spatial axes."""

    def __init__(
        self, weight: IntegerWeight, window: Window, bias: Tensor | None, source: Grid, finish: Finish
    ) -> None:
        """Takes the weight [channels out, channels in / groups, *kernel]; `bias` [channels out]."""
        super().__init__(weight, bias, source, finish)
        self._window = window
        self._kernel = weight.encoding.shape[2:]

    def forward(self, x: Tensor) -> Tensor:
        """Returns codes or float32 [n, channels out, *spatial] of codes [n, channels in, *spatial]."""
        window, source = self._window, self._source
        pads = window_pads(
            "conv", window.pad_type, window.pad, x.shape[2:], self._kernel, window.strides, window.dilations
        )
        padding = symmetric(pads)
        if padding is None:
            x, padding = ops.pad(x, pads, source.zero), [0] * len(pads)
        strides, dilations, flat = list(window.strides), list(window.dilations), x.dim() == 3
        if flat:
            x, strides, padding, dilations = x.unsqueeze(2), [1, *strides], [0, *padding], [1, *dilations]
        x = ops.image(x)
        steps = (strides, padding, dilations, window.groups)
        if self._packed is None or self._packed[0] != tuple(x.shape):
            self._packed = tuple(x.shape), self._pack(x, flat, steps)
        operator = getattr(torch.ops.onednn, _CONVOLUTIONS[x.dim()]).default
        weight = (self._packed[1], self._scale, self._zeros)
        result: Tensor = operator(
            x, source.scale, source.zero, *weight, self._bias, *steps, *self._finish.arguments()
        )
        return result.squeeze(2) if flat else result

    def _pack(self, x: Tensor, flat: bool, steps: tuple[Any, ...]) -> Tensor:
        integers = self._integers()
        if flat:
            integers = integers.unsqueeze(2)
        packed: Tensor = torch.ops.onednn.qconv_prepack(
            integers, self._scale, self._source.scale, self._source.zero, *steps, list(x.shape)
        )
        return packed


class QuantizedLinear(_Layer):
    """A linear layer of codes by a weight [features out, features in]."""

    def forward(self, x: Tensor) -> Tensor:
        """Returns codes or float32 [..., features out] of codes [..., features in]."""
        rows = x.reshape(-1, x.shape[-1])
        if self._packed is None or self._packed[0] != tuple(rows.shape):
            packed = torch.ops.onednn.qlinear_prepack(self._integers(), list(rows.shape))
            self._packed = tuple(rows.shape), packed
        source, weight = self._source, (self._packed[1], self._scale, self._zeros)
        result: Tensor = torch.ops.onednn.qlinear_pointwise.default(
            rows, source.scale, source.zero, *weight, self._bias, *self._finish.arguments()
        )
        return result.reshape(*x.shape[:-1], -1)
