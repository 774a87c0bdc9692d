"""Quantization of activations to 8 bits and back (iOS 17 and newer)."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from mlpress.ops.op import op
from mlpress.ops.operands import along, check_choice

_TARGETS: Final = {"int8": torch.int8, "uint8": torch.uint8}


@op(
    CoreML7="input:S, zero_point:D const?, scale:S const, axis:int32 const?, output_dtype:string const; "
    "S=fp16|fp32, D=uint8|int8"
)
def quantize(
    input: Tensor,
    scale: Tensor,
    output_dtype: str,
    zero_point: Tensor | None = None,
    axis: int | None = None,
) -> Tensor:
    """clip(round(input / scale) + zero_point) to the range of `output_dtype`, ties to even."""
    check_choice("quantize", "output_dtype", output_dtype, tuple(_TARGETS))
    target = _TARGETS[output_dtype]
    levels = torch.round(input / _per_slice(scale, axis, input))
    if zero_point is not None:
        levels = levels + _per_slice(zero_point, axis, input)
    limits = torch.iinfo(target)
    return levels.clamp(limits.min, limits.max).to(target)


@op(CoreML7="input:S, zero_point:S const?, scale:D const, axis:int32 const?; D=fp16|fp32, S=uint8|int8")
def dequantize(
    input: Tensor, scale: Tensor, zero_point: Tensor | None = None, axis: int | None = None
) -> Tensor:
    """`scale * (input - zero_point)`, in the element type of `scale`."""
    levels = input.to(scale.dtype)
    if zero_point is not None:
        levels = levels - _per_slice(zero_point, axis, levels)
    return levels * _per_slice(scale, axis, levels)


def _per_slice(parameter: Tensor, axis: int | None, x: Tensor) -> Tensor:
    return parameter.to(x.dtype) if axis is None or not parameter.dim() else along(parameter, axis, x)
