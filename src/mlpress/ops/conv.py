"""Convolutions over one to three spatial axes. x has shape [n, channels, *spatial]."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

from mlpress.errors import UnsupportedModelError
from mlpress.ops.op import op
from mlpress.ops.operands import along, check_choice, like, like_or_none
from mlpress.ops.padding import pad_axes, symmetric, window_pads

_REST: Final = (
    "strides:int32 const?, pad_type:string const?, pad:int32 const?, dilations:int32 const?, "
    "groups:int32 const?"
)


@op(
    CoreML5=f"x:T, weight:T, bias:T const?, {_REST}; T=fp16|fp32",
    CoreML7=f"x:T, weight:U, bias:U?, {_REST}; T=fp16|fp32, U=fp16|fp32",
)
def conv(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    strides: Sequence[int] | None = None,
    pad_type: str = "valid",
    pad: Sequence[int] | None = None,
    dilations: Sequence[int] | None = None,
    groups: int = 1,
) -> Tensor:
    """Cross-correlation with `weight`, of shape [channels out, channels in / groups, *kernel], and `bias`."""
    ones = (1,) * (x.dim() - 2)
    strides, dilations = strides or ones, dilations or ones
    pads = window_pads("conv", pad_type, pad, x.shape[2:], weight.shape[2:], strides, dilations)
    padding = symmetric(pads)
    if padding is None:
        x = pad_axes(x, pads, 0)
        padding = [0] * len(pads)
    return torch.convolution(
        _one_layout(x),
        like(weight, x),
        like_or_none(bias, x),
        strides,
        padding,
        dilations,
        False,
        [0] * len(pads),
        groups,
    )


@op(
    CoreML5="x:T, weight:U, bias:U const?, quantization_type:string const, nbits:int32 const?, "
    f"quant_scale:T const, quant_bias:T const, {_REST}; T=fp32|fp16, U=uint8"
)
def conv_quantized(
    x: Tensor,
    weight: Tensor,
    quantization_type: str,
    quant_scale: Tensor,
    quant_bias: Tensor,
    bias: Tensor | None = None,
    nbits: int = 8,
    strides: Sequence[int] | None = None,
    pad_type: str = "valid",
    pad: Sequence[int] | None = None,
    dilations: Sequence[int] | None = None,
    groups: int = 1,
) -> Tensor:
    """`conv` with the weight quant_scale * weight + quant_bias, per output channel if they are vectors.

    `nbits` says how many bits of each byte of `weight` are used, which changes nothing here.
    """
    check_choice("conv_quantized", "quantization_type", quantization_type, ("linear", "lut"))
    if quantization_type == "lut":
        raise UnsupportedModelError("conv_quantized: quantization_type 'lut' has no table; allowed: 'linear'")
    levels = weight.to(x.dtype)
    dense = levels * _per_channel(quant_scale, levels) + _per_channel(quant_bias, levels)
    return conv(x, dense, bias, strides, pad_type, pad, dilations, groups)


def _one_layout(x: Tensor) -> Tensor:
    """Returns `x`, an image of one channel with the strides of any other.

    Torch 2.13 may read beyond an image that is said to have its one channel last.
    """
    return x.squeeze(1).unsqueeze(1) if x.shape[1] == 1 else x


def _per_channel(parameter: Tensor, weight: Tensor) -> Tensor:
    return along(parameter, 0, weight) if parameter.dim() == 1 else like(parameter, weight)
