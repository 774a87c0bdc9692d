"""Layers of 8-bit codes as oneDNN computes them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

import torch
from torch import Tensor

from mlpress.ops.padding import Pads, pad_axes, symmetric, window_extents
from mlpress.runtime.fast import codes as ops
from mlpress.runtime.fast.activations import Activation
from mlpress.runtime.fast.grid import Grid
from mlpress.runtime.fast.layers import Convolution, Finish, Layer

_CONVOLUTIONS: Final = {4: "qconv2d_pointwise", 5: "qconv3d_pointwise"}

ON_IMAGES: Final = ("none", "relu", "hardtanh")
ON_VOLUMES: Final = ("none",)
ON_FEATURES: Final = (*ON_IMAGES, "gelu")
"""Activations that oneDNN's operators take: convolutions over one or two axes, over three, linear layers."""


def is_available() -> bool:
    """Whether oneDNN multiplies 8-bit numbers here without losing any bit of a sum."""
    has_library: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return has_library and torch.cpu._is_vnni_supported()


def to_codes(activation: Activation, grid: Grid) -> Finish | None:
    """Returns how to make codes of `activation` of sums, or None if oneDNN can't: it has all 256 codes."""
    if grid.high == 255:
        return Finish(activation, grid)
    clipped = activation.clipped(grid.scale * (grid.high - grid.zero))
    return None if clipped is None else Finish(clipped, grid)


class _ByOneDNN(Layer):
    """What oneDNN's operators take."""

    def _integers(self) -> Tensor:
        return torch.tensor(self._weight.integers())  # a copy: what is mapped cannot be written to

    def _before(self, packed: Tensor) -> tuple[Any, ...]:
        """Returns what they take between the codes and the steps of a window."""
        zeros = torch.zeros(len(self._weight.scale), dtype=torch.int32)
        scale = torch.from_numpy(self._weight.scale)
        return self._source.scale, self._source.zero, packed, scale, zeros, self._bias

    def _after(self) -> tuple[Any, ...]:
        """Returns what they take behind."""
        grid, applied = self._finish.grid, self._finish.activation
        made = (1.0, 0, torch.float32) if grid is None else (grid.scale, grid.zero, torch.uint8)
        return *made, applied.name, list(applied.parameters), applied.algorithm


class QuantizedConv(_ByOneDNN, Convolution):
    """A convolution over one to three spatial axes."""

    def _is_padded_right(self) -> bool:
        """Whether oneDNN's padding is right: with one channel in for some out, it is not (torch 2.13).

        Nor are steps that lead out of the image. The padding of a volume is not right with one channel for
        one, either, if most of a window is padding.
        """
        _, each_in, *window = self._weight.encoding.shape
        return each_in > 1 or (len(self._weight.scale) == self._window.groups and len(window) < 3)

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
        shape, scale = list(to_image(x).shape), torch.from_numpy(self._weight.scale)
        packed = torch.ops.onednn.qconv_prepack(
            integers, scale, self._source.scale, self._source.zero, *steps, window.groups, shape
        )
        arguments = (*self._before(packed), *steps, window.groups, *self._after())
        operator = getattr(torch.ops.onednn, _CONVOLUTIONS[len(shape)]).default

        def run(codes: Tensor) -> Tensor:
            result: Tensor = operator(to_image(codes), *arguments)
            return result.squeeze(2) if flat else result

        return run


class QuantizedLinear(_ByOneDNN, Layer):
    """A linear layer of codes [..., features in] by a weight [features out, features in]."""

    def like(self, x: Tensor, *_: Tensor) -> Tensor:
        """Returns rows side by side."""
        return x.new_empty((*x.shape[:-1], len(self._weight.scale)), dtype=self._dtype)

    def _prepare(self, x: Tensor) -> Callable[[Tensor], Tensor]:
        rows = [x.shape[:-1].numel(), x.shape[-1]]
        packed = torch.ops.onednn.qlinear_prepack(self._integers(), rows)
        arguments = (*self._before(packed), *self._after())
        shape = (*x.shape[:-1], len(self._weight.scale))

        def run(codes: Tensor) -> Tensor:
            result: Tensor = torch.ops.onednn.qlinear_pointwise.default(codes.reshape(rows), *arguments)
            return result.reshape(shape)

        return run


def _image(codes: Tensor, pads: Pads, zero: int) -> Tensor:
    """Returns codes as oneDNN's convolutions take them, with `pads` of zeros, as numbers, around them."""
    if pads:
        codes = pad_axes(codes, pads, zero)
    return ops.image(codes.unsqueeze(2) if codes.dim() == 3 else codes)
