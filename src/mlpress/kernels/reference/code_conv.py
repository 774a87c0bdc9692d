"""NumPy twin of `mlpress.kernels.code_conv`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from mlpress.kernels.reference.codes import fused

LANES: Final = 16
PANEL_WIDTH: Final = 32
"""Columns of a packed weight stand together in panels of this many."""


@dataclass(frozen=True, slots=True)
class Kernel:
    """A weight that is packed.

    Attributes:
        data: Its bytes.
        shape: [channels out, channels in, height, width].
        totals: int32 sums of its rows [channels out, rounded up to a multiple of 16].
    """

    data: NDArray[np.int8]
    shape: tuple[int, ...]
    totals: NDArray[np.int32]

    def matrix(self) -> NDArray[np.int64]:
        """Returns the weight [height, width * channels in, channels out]."""
        out, channels, height, width = self.shape
        run, columns = width * channels, len(self.totals)
        fours, panels, start = -(-run // 4), [], 0
        for column in range(0, columns, PANEL_WIDTH):
            wide = min(PANEL_WIDTH, columns - column)
            panel = self.data[start : start + height * fours * 4 * wide].reshape(height, fours, wide, 4)
            panels.append(panel.swapaxes(2, 3).reshape(height, fours * 4, wide))
            start += panel.size
        return np.concatenate(panels, axis=2)[:, :run, :out].astype(np.int64)


@dataclass(frozen=True, slots=True)
class Window:
    """How a window moves over an image.

    Attributes:
        strides: Its steps, vertical and horizontal.
        before: How far the first reaches beyond the image, above and to the left.
    """

    strides: tuple[int, int]
    before: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Finish:
    """What becomes of a sum of products.

    Attributes:
        start: int32, what it begins with; this and the next two are [channels out, rounded up].
        scale: float32, what it is multiplied by.
        bias: float32, what is added then.
        limits: Where the result is cut off.
        code_zero: What is added to it, rounded, to be a code.
    """

    start: NDArray[np.int32]
    scale: NDArray[np.float32]
    bias: NDArray[np.float32]
    limits: tuple[float, float]
    code_zero: int


@dataclass(frozen=True, slots=True)
class Residual:
    """A number that is added to the one that a code of the convolution stands for; the sum is a code.

    Attributes:
        codes: Those of the number, uint8 of the shape of the result.
        scale: In steps of the sum's codes, the number is ``code * scale + shift``.
        shift: See there.
        own_scale: A step of the convolution's codes in steps of the sum's.
        limits: Where the sum is cut off, in its steps, without its zero.
    """

    codes: NDArray[np.uint8]
    scale: float
    shift: float
    own_scale: float
    limits: tuple[float, float]

    def numbers(self) -> tuple[float, ...]:
        """Returns all but the codes."""
        return self.scale, self.shift, self.own_scale, *self.limits


def convolve(
    x: NDArray[np.uint8],
    zero: int,
    kernel: Kernel,
    window: Window,
    finish: Finish,
    residual: Residual | None,
    lines: tuple[int, int],
    out: NDArray[Any],
) -> None:
    """See `mlpress.kernels.code_conv.convolve`."""
    _check(x, kernel, window, finish, residual, lines, out)
    channels_out, channels, *size = kernel.shape
    covered = [
        (n - 1) * step + reach for n, step, reach in zip(out.shape[1:3], window.strides, size, strict=True)
    ]
    after = [
        max(0, need - before - given)
        for need, before, given in zip(covered, window.before, x.shape[1:3], strict=True)
    ]
    around = ((0, 0), *zip(window.before, after, strict=True), (0, 0))
    padded = np.pad(x, around, constant_values=zero)[:, : covered[0], : covered[1]].astype(np.int64)
    down, across = window.strides
    windows = sliding_window_view(padded, size, (1, 2))[:, ::down, ::across]  # [n, h, w, channels, *size]
    runs = windows.transpose(0, 1, 2, 4, 5, 3).reshape(*out.shape[:3], size[0], size[1] * channels)
    sums = np.einsum("nhwir,irk->nhwk", runs, kernel.matrix()) + finish.start[:channels_out]
    scale, bias = finish.scale[:channels_out], finish.bias[:channels_out]
    numbers = fused(sums.astype(np.float32), scale, bias).clip(*finish.limits)
    if out.dtype == np.uint8:
        numbers = np.rint(numbers)
        if residual is not None:
            other = fused(residual.codes, residual.scale, residual.shift)
            numbers = np.rint(fused(numbers, residual.own_scale, other).clip(*residual.limits))
        numbers = numbers + np.float32(finish.code_zero)
    first, last = lines
    every_line = out.reshape(-1, *out.shape[2:])
    every_line[first:last] = numbers.reshape(every_line.shape)[first:last].astype(out.dtype)


def _check(
    x: NDArray[np.uint8],
    kernel: Kernel,
    window: Window,
    finish: Finish,
    residual: Residual | None,
    lines: tuple[int, int],
    out: NDArray[Any],
) -> None:
    channels_out, channels, height, width = kernel.shape
    columns = -(-channels_out // LANES) * LANES
    if x.shape[0] != out.shape[0]:
        raise ValueError("x and out are of different numbers of images")
    if not 0 <= lines[0] <= lines[1] <= out.shape[0] * out.shape[1]:
        raise ValueError("the lines are out of range")
    if min(window.strides) < 1 or min(window.before) < 0:
        raise ValueError("the window is not possible")
    if (x.shape[3], out.shape[3]) != (channels, channels_out):
        raise ValueError("the weight has the wrong size")
    if kernel.data.size != height * -(-width * channels // 4) * 4 * columns:
        raise ValueError("the weight has the wrong size")
    if not finish.start.size == finish.scale.size == finish.bias.size == columns:
        raise ValueError("starts, scales or biases have the wrong size")
    if residual is not None and residual.codes.shape != out.shape:
        raise ValueError("the residual has another shape than the output")
