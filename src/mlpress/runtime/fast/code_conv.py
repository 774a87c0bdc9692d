"""Layers of 8-bit codes by the kernel of this package; a convolution may add another number to its result."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from math import inf, prod
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mlpress.kernels import code_conv, codes
from mlpress.kernels.code_conv import Residual
from mlpress.runtime.fast import codes as ops
from mlpress.runtime.fast.activations import Activation
from mlpress.runtime.fast.grid import Grid
from mlpress.runtime.fast.integer_weight import IntegerWeight
from mlpress.runtime.fast.layers import Convolution, Finish, Layer, Window
from mlpress.runtime.fast.threads import share

_LEAST_SHARE: Final = 1 << 22
"""Products that are worth a thread of their own."""

KNOWN: Final = ("none", "relu", "hardtanh")
"""Activations that only cut off, which the kernel does anyway."""


def multiplies(weight: IntegerWeight) -> bool:
    """Whether the kernel multiplies by `weight`, [channels out, ...], and is fast here."""
    return code_conv.is_fast() and prod(weight.encoding.shape[1:]) <= code_conv.MOST_PRODUCTS


def convolves(weight: IntegerWeight, window: Window) -> bool:
    """Whether the kernel convolves with `weight`, and is fast here."""
    return (
        multiplies(weight)
        and len(weight.encoding.shape) in (3, 4)
        and window.groups == 1
        and all(step == 1 for step in window.dilations)
        and (window.pad is None or min(window.pad) >= 0)
    )


class _ByKernel(Layer):
    """What the kernel takes and does."""

    @cached_property
    def _kernel(self) -> code_conv.Kernel:
        integers = self._weight.integers()
        out, into, *window = integers.shape
        return code_conv.pack(integers.reshape(out, into, *(1,) * (2 - len(window)), *window))

    @cached_property
    def _ending(self) -> code_conv.Finish:
        """What becomes of sums, in steps of the codes or in numbers."""
        grid = self._finish.grid or Grid(1.0, 0)
        low, high = _limits(self._finish.activation)
        low, high = low / grid.scale, high / grid.scale
        if self._finish.grid is not None:
            low, high = max(low, grid.low - grid.zero), min(high, grid.high - grid.zero)
        scale = self._weight.scale.astype(np.float64) * self._source.scale / grid.scale
        bias = np.zeros(len(scale)) if self._bias is None else self._bias.numpy() / np.float64(grid.scale)
        return code_conv.finish(self._kernel, self._source.zero, scale, bias, (low, high), self._code_zero)

    @property
    def _code_zero(self) -> int:
        """The code of 0 in the result."""
        return 0 if self._finish.grid is None else self._finish.grid.zero

    def _compute(
        self,
        image: npt.NDArray[Any],
        window: code_conv.Window,
        residual: Residual | None,
        out: npt.NDArray[Any],
    ) -> None:
        """Convolves an image with channels last, by several threads if it is large."""

        def work(first: int, last: int) -> None:
            code_conv.convolve(
                *(image, self._source.zero, self._kernel, window, self._ending, residual),
                lines=(first, last),
                out=out,
            )

        lines = out.shape[0] * out.shape[1]
        products = out.size * prod(self._weight.encoding.shape[1:])
        share(work, lines, min(lines, products // _LEAST_SHARE))


class CodeConv(_ByKernel, Convolution):
    """A convolution over one or two spatial axes."""

    def __init__(
        self,
        weight: IntegerWeight,
        window: Window,
        bias: Tensor | None,
        source: Grid,
        finish: Finish,
        added: tuple[Grid, Grid] | None = None,
    ) -> None:
        """Takes the same as `Convolution`.

        Args:
            weight: See there.
            window: See there.
            bias: See there.
            source: See there.
            finish: See there.
            added: What the codes of a second input stand for, which is added to each result, and the codes of
                the sum. Results are rounded to codes before.
        """
        super().__init__(weight, window, bias, source, finish)
        self._added = added

    def adding(self, other: Grid, total: Grid) -> CodeConv:
        """Returns a convolution that takes a second input, `other`, and makes codes of the sum, `total`."""
        return CodeConv(
            self._weight, self._window, self._bias, self._source, self._finish, added=(other, total)
        )

    @property
    def adds(self) -> bool:
        """Whether there is a second input."""
        return self._added is not None

    @property
    def _code_zero(self) -> int:
        return super()._code_zero if self._added is None else self._added[1].zero

    @cached_property
    def _adding(self) -> tuple[float, float, float, tuple[int, int]]:
        """Scale and shift of the second input's codes, own scale, limits; in steps of the sum's codes."""
        assert self._added is not None
        assert self._finish.grid is not None
        source, total = self._added
        scale, shift = codes.steps(source.scale, source.zero, total.scale)
        limits = (total.low - total.zero, total.high - total.zero)
        return scale, shift, self._finish.grid.scale / total.scale, limits

    def _prepare(self, x: Tensor) -> Callable[..., Tensor]:
        flat = x.dim() == 3  # one axis: as two, of which the first is 1
        strides, sizes = list(self._window.strides), self._sizes(x)
        before = [pad for pad, _ in self._pads(x)]
        if flat:
            strides, sizes, before = [1, *strides], [1, *sizes], [0, *before]
        window = code_conv.Window((strides[0], strides[1]), (before[0], before[1]))
        shape = (len(x), len(self._weight.scale), *sizes)

        def run(x: Tensor, other: Tensor | None = None) -> Tensor:
            image = _memory(ops.image(x.unsqueeze(2) if flat else x))
            out = torch.empty(shape, dtype=self._dtype, memory_format=torch.channels_last)
            residual = None if other is None else Residual(_memory(ops.image(other)), *self._adding)
            self._compute(image, window, residual, _memory(out))
            return out.squeeze(2) if flat else out

        return run


class CodeLinear(_ByKernel):
    """A linear layer of codes [..., features in] by a weight [features out, features in]."""

    def like(self, x: Tensor, *_: Tensor) -> Tensor:
        """Returns rows side by side."""
        return x.new_empty((*x.shape[:-1], len(self._weight.scale)), dtype=self._dtype)

    def _prepare(self, x: Tensor) -> Callable[..., Tensor]:
        rows, window = x.shape[:-1].numel(), code_conv.Window((1, 1), (0, 0))

        def run(x: Tensor) -> Tensor:
            out = self.like(x)
            image, made = (each.numpy().reshape(1, rows, 1, each.shape[-1]) for each in (x.contiguous(), out))
            self._compute(image, window, None, made)
            return out

        return run


def _limits(activation: Activation) -> tuple[float, float]:
    match activation.name:
        case "none":
            return -inf, inf
        case "relu":
            return 0.0, inf
        case "hardtanh":
            low, high = activation.parameters
            return low, high
        case other:
            raise ValueError(f"{other!r} is no function that only cuts off")


def _memory(image: Tensor) -> npt.NDArray[Any]:
    """Returns an image with channels last as it lies in memory."""
    array: npt.NDArray[Any] = image.permute(0, 2, 3, 1).numpy()
    return array
