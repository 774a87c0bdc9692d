"""Pooling over one to three spatial axes. x has shape [n, channels, *spatial].

With `ceil_mode` an axis has as many windows as PyTorch gives it: the last one may stand out at the end, but
does not start there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

from mlpress.ops.op import op
from mlpress.ops.padding import Pads, pad_axes, symmetric, window_pads

_SIGNATURE: Final = (
    "x:T, kernel_sizes:int32 const, strides:int32 const?, pad_type:string const, pad:int32 const?, "
    "ceil_mode:bool const?"
)
_AVERAGE: Final[dict[int, Callable[..., Tensor]]] = {3: F.avg_pool1d, 4: F.avg_pool2d, 5: F.avg_pool3d}


def _max_pool1d(
    x: Tensor,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: int,
    ceil_mode: bool,
) -> Tensor:
    # torch.max_pool1d does not work on tensors whose size is unknown.
    return torch.max_pool2d(
        x.unsqueeze(2), (1, *kernel), (1, *stride), (0, *padding), dilation, ceil_mode
    ).squeeze(2)


_MAXIMUM: Final[dict[int, Callable[..., Tensor]]] = {
    3: _max_pool1d,
    4: torch.max_pool2d,
    5: torch.max_pool3d,
}


@op(CoreML5=f"exclude_padding_from_average:bool const?, {_SIGNATURE}; T=fp16|fp32")
def avg_pool(
    x: Tensor,
    kernel_sizes: Sequence[int],
    pad_type: str,
    exclude_padding_from_average: bool = False,
    strides: Sequence[int] | None = None,
    pad: Sequence[int] | None = None,
    ceil_mode: bool = False,
) -> Tensor:
    """Mean of each window; padding counts as zeros, or not at all if it is excluded."""
    strides = strides or (1,) * len(kernel_sizes)
    pads = window_pads("avg_pool", pad_type.lower(), pad, x.shape[2:], kernel_sizes, strides)
    average = _AVERAGE[x.dim()]
    padding = _native(pads, kernel_sizes)
    if padding is not None:
        return average(x, kernel_sizes, strides, padding, ceil_mode, not exclude_padding_from_average)
    over = _overhang(x.shape[2:], kernel_sizes, strides, pads, ceil_mode)
    means = average(pad_axes(pad_axes(x, pads, 0), over, 0), kernel_sizes, strides)
    # Elements that count are ones; their mean turns means over whole windows into means over what counts.
    counted = pad_axes(x.new_ones((1, 1, *x.shape[2:])), pads, 0 if exclude_padding_from_average else 1)
    return means / average(pad_axes(counted, over, 0), kernel_sizes, strides)


@op(CoreML5=f"{_SIGNATURE}; T=fp16|fp32")
def l2_pool(
    x: Tensor,
    kernel_sizes: Sequence[int],
    pad_type: str,
    strides: Sequence[int] | None = None,
    pad: Sequence[int] | None = None,
    ceil_mode: bool = False,
) -> Tensor:
    """Square root of the sum of squares of each window."""
    strides = strides or (1,) * len(kernel_sizes)
    pads = window_pads("l2_pool", pad_type.lower(), pad, x.shape[2:], kernel_sizes, strides)
    over = _overhang(x.shape[2:], kernel_sizes, strides, pads, ceil_mode)
    squares = pad_axes(pad_axes(x * x, pads, 0), over, 0)
    return (_AVERAGE[x.dim()](squares, kernel_sizes, strides) * math.prod(kernel_sizes)).sqrt()


@op(CoreML5=f"{_SIGNATURE}; T=fp16|fp32")
def max_pool(
    x: Tensor,
    kernel_sizes: Sequence[int],
    pad_type: str,
    strides: Sequence[int] | None = None,
    pad: Sequence[int] | None = None,
    ceil_mode: bool = False,
) -> Tensor:
    """Maximum of each window, padding left out."""
    strides = strides or (1,) * len(kernel_sizes)
    pads = window_pads("max_pool", pad_type.lower(), pad, x.shape[2:], kernel_sizes, strides)
    maximum = _MAXIMUM[x.dim()]
    padding = _native(pads, kernel_sizes)
    if padding is not None:
        return maximum(x, kernel_sizes, strides, padding, 1, ceil_mode)
    over = _overhang(x.shape[2:], kernel_sizes, strides, pads, ceil_mode)
    x = pad_axes(pad_axes(x, pads, -math.inf), over, -math.inf)
    return maximum(x, kernel_sizes, strides, [0] * len(pads), 1, False)


def _native(pads: Pads, kernel_sizes: Sequence[int]) -> list[int] | None:
    """Returns the padding if torch can do it: as much before as after, at most half a window. Else None."""
    padding = symmetric(pads)
    if padding is None or any(2 * most > size for most, size in zip(padding, kernel_sizes, strict=True)):
        return None
    return padding


def _overhang(
    sizes: Sequence[int], kernel_sizes: Sequence[int], strides: Sequence[int], pads: Pads, ceil_mode: bool
) -> Pads:
    """Returns how far the last window of each axis stands out of the padded axis, as padding after it."""
    if not ceil_mode:
        return [(0, 0)] * len(pads)
    overhang = []
    for size, kernel, stride, (before, after) in zip(sizes, kernel_sizes, strides, pads, strict=True):
        steps = size + before + after - kernel
        last = -(-steps // stride)
        if last * stride >= size + before:
            last -= 1
        overhang.append((0, max(0, last * stride - steps)))
    return overhang
