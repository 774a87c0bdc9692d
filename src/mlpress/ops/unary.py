"""Elementwise functions of one tensor."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from mlpress.ops.dtypes import dtype_from_mil
from mlpress.ops.op import op

_FLOATS: Final = "x:T; T=fp16|fp32"
_NUMBERS: Final = "x:T; T=fp16|fp32|int32"
_EPSILON: Final = {
    "CoreML5": "x:T, epsilon:T const?; T=fp16|fp32",
    "CoreML7": "x:T, epsilon:U const?; T=fp16|fp32, U=fp16|fp32",
}


@op(CoreML5=_NUMBERS)
def abs(x: Tensor) -> Tensor:
    """|x|."""
    return torch.abs(x)


@op(CoreML5=_FLOATS)
def acos(x: Tensor) -> Tensor:
    """Inverse cosine, in radians."""
    return torch.acos(x)


@op(CoreML5=_FLOATS)
def asin(x: Tensor) -> Tensor:
    """Inverse sine, in radians."""
    return torch.asin(x)


@op(CoreML5=_FLOATS)
def atan(x: Tensor) -> Tensor:
    """Inverse tangent, in radians."""
    return torch.atan(x)


@op(CoreML5=_FLOATS)
def atanh(x: Tensor) -> Tensor:
    """Inverse hyperbolic tangent."""
    return torch.atanh(x)


@op(
    CoreML5="x:T, dtype:string const; T=fp16|fp32|int32|bool",
    CoreML7="x:T, dtype:string const; T=fp16|fp32|int8|uint8|int16|uint16|int32|bool",
)
def cast(x: Tensor, dtype: str) -> Tensor:
    """`x` in the element type `dtype`: floats lose their fraction to integers, and are true unless 0."""
    return x.to(dtype_from_mil(dtype))


@op(CoreML5=_FLOATS)
def ceil(x: Tensor) -> Tensor:
    """Smallest integer that is not below x."""
    return torch.ceil(x)


@op(
    CoreML5="x:T, alpha:T const, beta:T const; T=fp16|fp32",
    CoreML7="x:T, alpha:T const, beta:T const; T=fp16|fp32",
)
def clip(x: Tensor, alpha: float, beta: float) -> Tensor:
    """min(max(x, alpha), beta)."""
    return torch.clamp(x, alpha, beta)


@op(CoreML5=_FLOATS)
def cos(x: Tensor) -> Tensor:
    """Cosine of radians."""
    return torch.cos(x)


@op(CoreML5=_FLOATS)
def cosh(x: Tensor) -> Tensor:
    """Hyperbolic cosine."""
    return torch.cosh(x)


@op(CoreML5=_FLOATS)
def erf(x: Tensor) -> Tensor:
    """Error function."""
    return torch.erf(x)


@op(CoreML5=_FLOATS)
def exp(x: Tensor) -> Tensor:
    """`e` to the power x."""
    return torch.exp(x)


@op(CoreML5=_NUMBERS)
def exp2(x: Tensor) -> Tensor:
    """2 to the power x; of integers, rounded towards zero."""
    return torch.exp2(x) if x.is_floating_point() else torch.exp2(x.double()).to(x.dtype)


@op(CoreML5=_FLOATS)
def floor(x: Tensor) -> Tensor:
    """Largest integer that is not above x."""
    return torch.floor(x)


@op(**_EPSILON)
def inverse(x: Tensor, epsilon: float = 1e-4) -> Tensor:
    """1 / (x + epsilon)."""
    return torch.reciprocal(x + epsilon)


@op(**_EPSILON)
def log(x: Tensor, epsilon: float = 1e-45) -> Tensor:
    """Natural logarithm of x + epsilon."""
    return torch.log(x + epsilon)


@op(CoreML5="x:bool")
def logical_not(x: Tensor) -> Tensor:
    """Whether x does not hold."""
    return torch.logical_not(x)


@op(CoreML5=_FLOATS)
def round(x: Tensor) -> Tensor:
    """Nearest integer, ties to even."""
    return torch.round(x)


@op(**_EPSILON)
def rsqrt(x: Tensor, epsilon: float = 1e-12) -> Tensor:
    """1 / sqrt(x + epsilon)."""
    return torch.rsqrt(x + epsilon)


@op(CoreML5=_NUMBERS)
def sign(x: Tensor) -> Tensor:
    """-1, 0 or 1."""
    return torch.sign(x)


@op(CoreML5=_FLOATS)
def sin(x: Tensor) -> Tensor:
    """Sine of radians."""
    return torch.sin(x)


@op(CoreML5=_FLOATS)
def sinh(x: Tensor) -> Tensor:
    """Hyperbolic sine."""
    return torch.sinh(x)


@op(CoreML5=_FLOATS)
def sqrt(x: Tensor) -> Tensor:
    """Square root."""
    return torch.sqrt(x)


@op(CoreML5=_NUMBERS)
def square(x: Tensor) -> Tensor:
    """`x * x`."""
    return torch.square(x)


@op(CoreML5=_FLOATS)
def tan(x: Tensor) -> Tensor:
    """Tangent of radians."""
    return torch.tan(x)


@op(CoreML5=_FLOATS)
def tanh(x: Tensor) -> Tensor:
    """Hyperbolic tangent."""
    return torch.tanh(x)


@op(CoreML5="x:T, alpha:T const; T=fp16|fp32|int32")
def threshold(x: Tensor, alpha: float) -> Tensor:
    """max(x, alpha)."""
    return torch.clamp(x, min=alpha)
