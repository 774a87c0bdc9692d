"""Normalizations. Parameters per channel are for axis 1; x has shape [n, channels, *spatial]."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

from mlpress.ops.op import op
from mlpress.ops.operands import along, like, like_or_none

_AFFINE: Final = {
    "CoreML5": "gamma:T const?, beta:T const?, epsilon:T const?; T=fp16|fp32",
    "CoreML7": "gamma:U const?, beta:U const?, epsilon:U const?; T=fp16|fp32, U=fp16|fp32",
}


@op(
    CoreML5=f"x:T, mean:T const, variance:T const, {_AFFINE['CoreML5']}",
    CoreML7=f"x:T, mean:U const, variance:U const, {_AFFINE['CoreML7']}",
)
def batch_norm(
    x: Tensor,
    mean: Tensor,
    variance: Tensor,
    gamma: Tensor | None = None,
    beta: Tensor | None = None,
    epsilon: float = 1e-5,
) -> Tensor:
    """`gamma * (x - mean) / sqrt(variance + epsilon) + beta` for each channel."""
    mean, variance = like(mean, x), like(variance, x)
    gamma, beta = like_or_none(gamma, x), like_or_none(beta, x)
    if not (torch.is_grad_enabled() and (mean.requires_grad or variance.requires_grad)):
        return F.batch_norm(x, mean, variance, gamma, beta, eps=epsilon)
    # Torch has no gradient for the moments.
    scale = torch.rsqrt(variance + epsilon)
    scale = scale if gamma is None else scale * gamma
    shift = -mean * scale if beta is None else beta - mean * scale
    return x * along(scale, 1, x) + along(shift, 1, x)


@op(CoreML5=f"x:T, {_AFFINE['CoreML5']}", CoreML7=f"x:T, {_AFFINE['CoreML7']}")
def instance_norm(
    x: Tensor, gamma: Tensor | None = None, beta: Tensor | None = None, epsilon: float = 1e-5
) -> Tensor:
    """`gamma * (x - mean) / sqrt(var + epsilon) + beta`, with mean and var of each n and channel."""
    return torch.group_norm(x, x.shape[1], like_or_none(gamma, x), like_or_none(beta, x), epsilon)


@op(
    CoreML5="x:T, epsilon:T const?; T=fp16|fp32",
    CoreML7="x:T, epsilon:U const?; T=fp16|fp32, U=fp16|fp32",
)
def l2_norm(x: Tensor, epsilon: float = 1e-6) -> Tensor:
    """`x / sqrt(sum + epsilon)` with the sum of squares over the last three axes."""
    return x / torch.sqrt((x * x).sum((-3, -2, -1), keepdim=True) + epsilon)


@op(
    CoreML5=f"x:T, axes:int32 const?, {_AFFINE['CoreML5']}",
    CoreML7=f"x:T, axes:int32 const?, {_AFFINE['CoreML7']}",
)
def layer_norm(
    x: Tensor,
    axes: Sequence[int] | None = None,
    gamma: Tensor | None = None,
    beta: Tensor | None = None,
    epsilon: float = 1e-5,
) -> Tensor:
    """`gamma * (x - mean) / sqrt(var + epsilon) + beta`, with mean and var over `axes` (all by default).

    Parameters gamma and beta have the shape of those axes of x.
    """
    rank = x.dim()
    over = list(range(rank)) if axes is None else sorted(axis % rank for axis in axes)
    gamma, beta = like_or_none(gamma, x), like_or_none(beta, x)
    if over == list(range(rank - len(over), rank)):
        return F.layer_norm(x, x.shape[rank - len(over) :], gamma, beta, epsilon)
    variance, mean = torch.var_mean(x, over, correction=0, keepdim=True)
    shape = [size if axis in over else 1 for axis, size in enumerate(x.shape)]
    y = (x - mean) * torch.rsqrt(variance + epsilon)
    y = y if gamma is None else y * gamma.reshape(shape)
    return y if beta is None else y + beta.reshape(shape)


@op(
    CoreML5="x:T, size:int32 const, alpha:T const?, beta:T const?, k:T const?; T=fp16|fp32",
    CoreML7="x:T, size:int32 const, alpha:U const?, beta:U const?, k:U const?; T=fp16|fp32, U=fp16|fp32",
)
def local_response_norm(
    x: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Tensor:
    """`x / (k + alpha / size * sum)^beta` with the sum of squares over the `size` nearest channels."""
    return F.local_response_norm(x, size, alpha, beta, k)
