"""Convolutions and linear layers of 8-bit codes by int8 weights, which oneDNN computes in whole numbers.

A sum of products of codes is exact; what follows it (scales, bias, activation, rounding to codes) is float32
arithmetic on the sum.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import torch
from torch import Tensor

from mlpress.ops.padding import Pads, pad_axes, symmetric, window_extents, window_pads
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

ON_IMAGES: Final = ("none", "relu", "hardtanh")
ON_VOLUMES: Final = ("none",)
ON_FEATURES: Final = (*ON_IMAGES, "gelu")
"""Activations that oneDNN's operators take: convolutions over one or two axes, over three, linear layers."""


def is_available() -> bool:
    """Whether oneDNN multiplies 8-bit numbers here without losing any bit of a sum."""
    has_library: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return has_library and torch.cpu._is_vnni_supported()


class Layer(Opaque):
    """A layer by an int8 weight, which is laid out for the shape of the last input."""

    def __init__(self, weight: IntegerWeight, bias: Tensor | None, source: Grid, finish: Finish) -> None:
        """Takes what the input's codes stand for, and what is done with sums; `bias` is [channels out]."""
        super().__init__()
        self._weight = weight
        self._bias = None if bias is None else bias.detach().float().expand(len(weight.scale)).contiguous()
        self._scale = torch.from_numpy(weight.scale)
        self._source = source
        self._finish = finish
        self._prepared: tuple[torch.Size, Callable[[Tensor], Tensor]] | None = None

    def run(self, x: Tensor) -> Tensor:
        """Returns codes or float32 of codes."""
        if self._prepared is None or self._prepared[0] != x.shape:
            self._prepared = x.shape, self._prepare(x)
        return self._prepared[1](x)

    def _prepare(self, x: Tensor) -> Callable[[Tensor], Tensor]:
        """Returns the layer for inputs of the shape of `x`."""
        raise NotImplementedError

    @property
    def _dtype(self) -> torch.dtype:
        """The type of the result."""
        return torch.float32 if self._finish.grid is None else torch.uint8

    def _integers(self) -> Tensor:
        return torch.tensor(self._weight.integers())  # a copy: what is mapped cannot be written to

    def _arguments(self, packed: Tensor) -> tuple[Any, ...]:
        """Returns what oneDNN's operators take between the codes and the steps of a window."""
        zeros = torch.zeros(len(self._scale), dtype=torch.int32)
        return self._source.scale, self._source.zero, packed, self._scale, zeros, self._bias


class QuantizedConv(Layer):
    """A convolution of codes [n, channels in, *spatial] over one to three spatial axes."""

    def __init__(
        self, weight: IntegerWeight, window: Window, bias: Tensor | None, source: Grid, finish: Finish
    ) -> None:
        """Takes the weight [channels out, channels in / groups, *kernel], and the rest as `Layer`."""
        super().__init__(weight, bias, source, finish)
        self._window = window

    def like(self, x: Tensor) -> Tensor:
        """Returns an image with channels last."""
        made = x.new_empty((len(x), len(self._scale), *self._sizes(x)), dtype=self._dtype)
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

    def _is_padded_right(self) -> bool:
        """Whether oneDNN's padding is right: with one channel in for some out, it is not (torch 2.13).

        Nor are steps that lead out of the image. The padding of a volume is not right with one channel for
        one, either, if most of a window is padding.
        """
        _, each_in, *window = self._weight.encoding.shape
        return each_in > 1 or (len(self._scale) == self._window.groups and len(window) < 3)

    def _pads(self, x: Tensor) -> Pads:
        window, kernel = self._window, self._weight.encoding.shape[2:]
        return window_pads(
            "conv", window.pad_type, window.pad, x.shape[2:], kernel, window.strides, window.dilations
        )

    def _within(self, x: Tensor) -> tuple[Pads, list[int]]:
        """Returns pads after which an image ends with its last window, and strides.

        What is cut off are negative pads. Where there is but one window, it has no step to take.
        """
        found, strides = [], []
        extents = window_extents(self._weight.encoding.shape[2:], self._window.dilations)
        axes = zip(x.shape[2:], self._sizes(x), self._pads(x), extents, self._window.strides, strict=True)
        for size, windows, (before, _), extent, stride in axes:
            found.append((before, (windows - 1) * stride + extent - before - size))
            strides.append(1 if windows == 1 else stride)
        return found, strides

    def _prepare(self, x: Tensor) -> Callable[[Tensor], Tensor]:
        window, pads, strides = self._window, self._pads(x), list(self._window.strides)
        padding = symmetric(pads) if self._is_padded_right() else None
        if padding is None:
            pads, strides = self._within(x)
        to_image = partial(_image, pads=() if padding is not None else pads, zero=self._source.zero)
        integers, flat = self._integers(), x.dim() == 3
        steps = [strides, padding or [0] * len(pads), list(window.dilations)]
        if flat:  # one axis: as two, of which the first is 1
            integers = integers.unsqueeze(2)
            steps = [[neutral, *each] for neutral, each in zip((1, 0, 1), steps, strict=True)]
        shape = list(to_image(x).shape)
        packed = torch.ops.onednn.qconv_prepack(
            integers, self._scale, self._source.scale, self._source.zero, *steps, window.groups, shape
        )
        arguments = (*self._arguments(packed), *steps, window.groups, *self._finish.arguments())
        operator = getattr(torch.ops.onednn, _CONVOLUTIONS[len(shape)]).default

        def run(codes: Tensor) -> Tensor:
            result: Tensor = operator(to_image(codes), *arguments)
            return result.squeeze(2) if flat else result

        return run


class QuantizedLinear(Layer):
    """A linear layer of codes [..., features in] by a weight [features out, features in]."""

    def like(self, x: Tensor) -> Tensor:
        """Returns rows side by side."""
        return x.new_empty((*x.shape[:-1], len(self._scale)), dtype=self._dtype)

    def _prepare(self, x: Tensor) -> Callable[[Tensor], Tensor]:
        rows = [x.shape[:-1].numel(), x.shape[-1]]
        packed = torch.ops.onednn.qlinear_prepack(self._integers(), rows)
        arguments = (*self._arguments(packed), *self._finish.arguments())
        shape = (*x.shape[:-1], len(self._scale))

        def run(codes: Tensor) -> Tensor:
            result: Tensor = torch.ops.onednn.qlinear_pointwise.default(codes.reshape(rows), *arguments)
            return result.reshape(shape)

        return run


def _image(codes: Tensor, pads: Pads, zero: int) -> Tensor:
    """Returns codes as oneDNN's convolutions take them, with `pads` of zeros, as numbers, around them."""
    if pads:
        codes = pad_axes(codes, pads, zero)
    return ops.image(codes.unsqueeze(2) if codes.dim() == 3 else codes)
