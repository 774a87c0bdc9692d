"""Transposed convolution over one to three spatial axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

from mlpress.ops.op import op
from mlpress.ops.operands import along, like, like_or_none
from mlpress.ops.padding import pad_axes, window_extents, window_pads

_REST: Final = (
    "pad:int32 const?, output_shape:int32 const?, pad_type:string const?, strides:int32 const?, "
    "dilations:int32 const?, groups:int32 const?"
)


@op(
    CoreML5=f"x:T, weight:T const, bias:T const?, {_REST}; T=fp16|fp32",
    CoreML7=f"x:T, weight:U, bias:U?, {_REST}; T=fp16|fp32, U=fp16|fp32",
)
def conv_transpose(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    pad: Sequence[int] | None = None,
    output_shape: Sequence[int] | None = None,
    pad_type: str = "valid",
    strides: Sequence[int] | None = None,
    dilations: Sequence[int] | None = None,
    groups: int = 1,
) -> Tensor:
    """Transpose of `conv` as a linear map, and `bias`.

    `weight` is [channels in, channels out / groups, *kernel]. A spatial axis has (size - 1) * stride + extent
    elements, where a kernel spans `extent`. ``"custom"`` cuts `pad` from its ends, ``"same"`` leaves
    size * stride. `output_shape`, [n, channels, *spatial], says outright what is left: the cut before an axis
    is as `pad_type` says, the one after it follows.
    """
    ones = (1,) * (x.dim() - 2)
    strides, dilations = strides or ones, dilations or ones
    kernel = weight.shape[2:]
    extents = window_extents(kernel, dilations)
    axes = list(zip(x.shape[2:], strides, extents, strict=True))
    full = [(size - 1) * stride + extent for size, stride, extent in axes]
    wanted = [size * stride for size, stride, _ in axes] if output_shape is None else output_shape[2:]
    cuts = window_pads("conv_transpose", pad_type, pad, wanted, kernel, strides, dilations)
    if output_shape is None and pad_type in ("valid", "custom"):
        wanted = [size - before - after for size, (before, after) in zip(full, cuts, strict=True)]
    return _transposed(
        x,
        like(weight, x),
        like_or_none(bias, x),
        [before for before, _ in cuts],
        full,
        wanted,
        (strides, dilations, groups),
    )


def _transposed(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    cuts: Sequence[int],
    full: Sequence[int],
    wanted: Sequence[int],
    steps: tuple[Sequence[int], Sequence[int], int],
) -> Tensor:
    """Returns `wanted` elements of each `full` axis of the result, after `cuts`; zeros past its end."""
    strides, dilations, groups = steps
    # Torch cuts as much after an axis as before it; `extra` is what is wanted beyond that.
    extra = [want - (size - 2 * cut) for want, size, cut in zip(wanted, full, cuts, strict=True)]
    if all(more < max(pair) for more, *pair in zip(extra, strides, dilations, strict=True)):
        added = [max(more, 0) for more in extra]
        y = torch.convolution(x, weight, bias, strides, cuts, dilations, True, added, groups)
        return _window(y, [0] * len(cuts), wanted) if min(extra) < 0 else y
    zeros = [0] * len(full)
    y = torch.convolution(x, weight, None, strides, zeros, dilations, True, zeros, groups)
    missing = [max(cut + want - size, 0) for cut, want, size in zip(cuts, wanted, full, strict=True)]
    y = _window(pad_axes(y, [(0, more) for more in missing], 0), cuts, wanted)
    return y if bias is None else y + along(bias, 1, y)


def _window(y: Tensor, starts: Sequence[int], sizes: Sequence[int]) -> Tensor:
    for axis, (start, size) in enumerate(zip(starts, sizes, strict=True), 2):
        y = y.narrow(axis, start, size)
    return y
