"""Activations: functions of each element, with parameters that are constants."""

from __future__ import annotations

from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

from mlpress.ops.op import op
from mlpress.ops.operands import along, check_choice, like

_ALPHA: Final = {
    "CoreML5": "x:T, alpha:T const; T=fp16|fp32",
    "CoreML7": "x:T, alpha:U const; T=fp16|fp32, U=fp16|fp32",
}
_ALPHA_BETA: Final = {
    "CoreML5": "x:T, alpha:T const, beta:T const; T=fp16|fp32",
    "CoreML7": "x:T, alpha:U const, beta:U const; T=fp16|fp32, U=fp16|fp32",
}
_GELU_MODES: Final = ("EXACT", "TANH_APPROXIMATION", "SIGMOID_APPROXIMATION")


@op(**_ALPHA_BETA)
def clamped_relu(x: Tensor, alpha: float, beta: float) -> Tensor:
    """min(beta, x) where x >= 0, else min(beta, alpha * x)."""
    return F.leaky_relu(x, alpha).clamp(max=beta)


@op(**_ALPHA)
def elu(x: Tensor, alpha: float) -> Tensor:
    """`x` where x > 0, else alpha * (exp(x) - 1)."""
    return F.elu(x, alpha)


@op(CoreML5="x:T, mode:string const?; T=fp16|fp32")
def gelu(x: Tensor, mode: str = "EXACT") -> Tensor:
    """`x` times the normal distribution's cumulative function at x, or one of two approximations of it."""
    check_choice("gelu", "mode", mode, _GELU_MODES)
    if mode == "SIGMOID_APPROXIMATION":
        return x * torch.sigmoid(1.702 * x)
    return F.gelu(x, approximate="none" if mode == "EXACT" else "tanh")


@op(**_ALPHA)
def leaky_relu(x: Tensor, alpha: float) -> Tensor:
    """`x` where x >= 0, else alpha * x."""
    return F.leaky_relu(x, alpha)


@op(**_ALPHA_BETA)
def linear_activation(x: Tensor, alpha: float, beta: float) -> Tensor:
    """`alpha * x + beta`."""
    return x * alpha + beta


@op(**_ALPHA)
def prelu(x: Tensor, alpha: Tensor) -> Tensor:
    """`x` where x > 0, else alpha[c] * x, with channels c along axis 1."""
    return F.prelu(x, like(alpha, x))


@op(CoreML5="x:T; T=fp16|fp32")
def relu(x: Tensor) -> Tensor:
    """max(x, 0)."""
    return torch.relu(x)


@op(CoreML5="x:T; T=fp16|fp32")
def relu6(x: Tensor) -> Tensor:
    """min(max(x, 0), 6)."""
    return torch.clamp(x, 0, 6)


@op(**_ALPHA_BETA)
def scaled_tanh(x: Tensor, alpha: float, beta: float) -> Tensor:
    """`alpha * tanh(beta * x)`."""
    return alpha * torch.tanh(beta * x)


@op(CoreML5="x:T; T=fp16|fp32")
def sigmoid(x: Tensor) -> Tensor:
    """1 / (1 + exp(-x))."""
    return torch.sigmoid(x)


@op(**_ALPHA_BETA)
def sigmoid_hard(x: Tensor, alpha: float, beta: float) -> Tensor:
    """min(max(alpha * x + beta, 0), 1)."""
    return torch.clamp(x * alpha + beta, 0, 1)


@op(CoreML5="x:T; T=fp16|fp32")
def silu(x: Tensor) -> Tensor:
    """`x * sigmoid(x)`."""
    return F.silu(x)


@op(CoreML5="x:T, axis:int32 const?; T=fp16|fp32")
def softmax(x: Tensor, axis: int = -1) -> Tensor:
    """exp(x) over its sum along `axis`."""
    return torch.softmax(x, axis)


@op(CoreML5="x:T; T=fp16|fp32")
def softplus(x: Tensor) -> Tensor:
    """log(1 + exp(x))."""
    return F.softplus(x)


@op(**_ALPHA_BETA)
def softplus_parametric(x: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    """alpha[c] * log(1 + exp(beta[c] * x)), with channels c along axis 1."""
    return along(alpha, 1, x) * F.softplus(along(beta, 1, x) * x)


@op(CoreML5="x:T; T=fp16|fp32")
def softsign(x: Tensor) -> Tensor:
    """`x / (1 + |x|)`."""
    return F.softsign(x)


@op(**_ALPHA)
def thresholded_relu(x: Tensor, alpha: float) -> Tensor:
    """`x` where x >= alpha, else 0."""
    return torch.where(x < alpha, 0, x)
