"""Convolutions of images of 8-bit codes by int8 weights: sums of products in whole numbers, which are exact.

What becomes of a sum costs next to nothing: a scale and a bias, limits, rounding to a code, the sum with
another number that is held as a code.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mlpress.kernels._backend import native
from mlpress.kernels.reference import code_conv as reference
from mlpress.kernels.reference.code_conv import LANES, PANEL_WIDTH, Finish, Kernel, Residual, Window

MOST_PRODUCTS: Final = 1 << 16
"""Sums of so many products stay within int32."""


def is_fast() -> bool:
    """Whether these kernels are compiled for vectors of 32 bytes or more."""
    return native is not None and native.detected_isa() > 0


def pack(weight: NDArray[np.int8]) -> Kernel:
    """Returns weight [channels out, channels in, height, width] as `convolve` takes it.

    Its bytes lie as ``[panel][line of the window][four][channel out][4]``: four of those that lie side by
    side in a line of an image, for each of the channels of a panel. Zeros fill up what is missing.
    """
    out, channels, height, width = weight.shape
    run = width * channels
    columns, room = -(-out // LANES) * LANES, -(-run // 4) * 4
    lines = np.zeros((height, room, columns), np.int8)
    lines[:, :run, :out] = weight.transpose(2, 3, 1, 0).reshape(height, run, out)
    fours = lines.reshape(height, room // 4, 4, columns).swapaxes(2, 3)
    panels = (fours[:, :, start : start + PANEL_WIDTH] for start in range(0, columns, PANEL_WIDTH))
    data = np.concatenate([panel.reshape(-1) for panel in panels], out=_lines(lines.size))
    totals = weight.sum((1, 2, 3), dtype=np.int64)
    return Kernel(data, weight.shape, _filled(totals.astype(np.int32), columns))


def finish(
    kernel: Kernel,
    zero: int,
    scale: NDArray[Any],
    bias: NDArray[Any],
    limits: tuple[float, float],
    code_zero: int = 0,
) -> Finish:
    """Returns what becomes of the sums of products of codes and the bytes of a kernel.

    Args:
        kernel: The kernel.
        zero: The code of the image that stands for 0.
        scale: What a step of a sum stands for, [channels out].
        bias: What is added, [channels out].
        limits: Where numbers are cut off; before they are rounded, if they become codes.
        code_zero: What rounded numbers are higher by, as codes.
    """
    columns = len(kernel.totals)
    return Finish(
        start=kernel.totals * np.int32(-zero),
        scale=_filled(scale.astype(np.float32), columns),
        bias=_filled(bias.astype(np.float32), columns),
        limits=limits,
        code_zero=code_zero,
    )


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
    """A convolution with a window that has no gaps.

    Args:
        x: [images, height, width, channels in], C-contiguous, as all arrays are.
        zero: The code that surrounds an image as far as windows reach beyond it.
        kernel: As `pack` returns it, of at most `MOST_PRODUCTS` products a sum.
        window: How it moves.
        finish: As `finish` returns it.
        residual: A number that is added to what becomes a code; None for none.
        lines: Those of the output that are made: from the first to before the last, those of all images
            counted. So may several threads share one convolution.
        out: [images, height, width, channels out], uint8 for codes or float32 for numbers; is written.

    Raises:
        ValueError: Shapes do not fit.
    """
    if native is None:
        reference.convolve(x, zero, kernel, window, finish, residual, lines, out)
        return
    run = native.convolve_to_codes if out.dtype == np.uint8 else native.convolve_to_numbers
    run(
        *(x, zero, kernel.data, kernel.shape[2:], window.strides, window.before),
        *(finish.start, finish.scale, finish.bias, *finish.limits, finish.code_zero),
        *(None if residual is None else residual.codes, _NO_SUM if residual is None else residual.numbers()),
        *lines,
        out,
    )


_NO_SUM: Final = (0.0,) * 5
_LINE: Final = 64


def _lines(size: int) -> NDArray[np.int8]:
    """Returns room that begins with a line of the caches: a vector across two takes twice as long."""
    room = np.empty(size + _LINE, np.int8)
    start = -room.ctypes.data % _LINE
    return room[start : start + size]


def _filled(values: NDArray[Any], size: int) -> NDArray[Any]:
    return np.concatenate([values, np.zeros(size - len(values), values.dtype)])


__all__ = [
    "MOST_PRODUCTS",
    "Finish",
    "Kernel",
    "Residual",
    "Window",
    "convolve",
    "finish",
    "is_fast",
    "pack",
]
