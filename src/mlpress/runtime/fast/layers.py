"""Layers of 8-bit codes by int8 weights: what they are, whatever computes them.

A sum of products of codes is exact; what follows it (scales, bias, activation, rounding to codes) is float32
arithmetic on the sum.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mlpress.ops.padding import Pads, window_extents, window_pads
from mlpress.runtime.fast import codes as ops
from mlpress.runtime.fast.activations import Activation
from mlpress.runtime.fast.grid import Grid
from mlpress.runtime.fast.integer_weight import IntegerWeight
from mlpress.runtime.fast.opaque import Opaque


@dataclass(frozen=True, slots=True)
class Finish:
    """What is done with sums of products.

    Attributes:
        activation: A function of each element.
        grid: The codes of the result; None for a result in float32.
    """

    activation: Activation
    grid: Grid | None


@dataclass(frozen=True, slots=True)
class Window:
    """How a convolution moves its weight over an image; see `mlpress.ops.conv.conv`."""

    strides: Sequence[int]
    pad_type: str
    pad: Sequence[int] | None
    dilations: Sequence[int]
    groups: int


class Layer(Opaque):
    """A layer by an int8 weight, which is made ready for the shape of the last input."""

    def __init__(self, weight: IntegerWeight, bias: Tensor | None, source: Grid, finish: Finish) -> None:
        """Takes what the input's codes stand for, and what is done with sums; `bias` is [channels out]."""
        super().__init__()
        self._weight = weight
        self._bias = None if bias is None else bias.detach().float().expand(len(weight.scale)).contiguous()
        self._source = source
        self._finish = finish
        self._prepared: tuple[torch.Size, Callable[..., Tensor]] | None = None

    def run(self, x: Tensor, *more: Tensor) -> Tensor:
        """Returns codes or float32 of codes."""
        if self._prepared is None or self._prepared[0] != x.shape:
            self._prepared = x.shape, self._prepare(x)
        return self._prepared[1](x, *more)

    def _prepare(self, x: Tensor) -> Callable[..., Tensor]:
        """Returns the layer for inputs of the shape of `x`."""
        raise NotImplementedError

    @property
    def _dtype(self) -> torch.dtype:
        """The type of the result."""
        return torch.float32 if self._finish.grid is None else torch.uint8


class Convolution(Layer):
    """A convolution of codes [n, channels in, *spatial] over one to three spatial axes."""

    def __init__(
        self, weight: IntegerWeight, window: Window, bias: Tensor | None, source: Grid, finish: Finish
    ) -> None:
        """Takes the weight [channels out, channels in / groups, *kernel], and the rest as `Layer`."""
        super().__init__(weight, bias, source, finish)
        self._window = window

    def like(self, x: Tensor, *_: Tensor) -> Tensor:
        """Returns an image with channels last."""
        made = x.new_empty((len(x), len(self._weight.scale), *self._sizes(x)), dtype=self._dtype)
        return ops.image(made.unsqueeze(2)).squeeze(2) if made.dim() == 3 else ops.image(made)

    def _sizes(self, x: Tensor) -> list[int]:
        """Returns the sizes of the result's spatial axes."""
        extents = window_extents(self._weight.encoding.shape[2:], self._window.dilations)
        return [
            (size + sum(pad) - extent) // stride + 1
            for size, pad, extent, stride in zip(
                x.shape[2:], self._pads(x), extents, self._window.strides, strict=True
            )
        ]

    def _pads(self, x: Tensor) -> Pads:
        window, kernel = self._window, self._weight.encoding.shape[2:]
        return window_pads(
            "conv", window.pad_type, window.pad, x.shape[2:], kernel, window.strides, window.dilations
        )
