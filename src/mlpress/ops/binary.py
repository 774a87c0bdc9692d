"""Elementwise functions of two tensors, which broadcast as in NumPy."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from mlpress.ops.op import op

_NUMBERS: Final = "x:T, y:T; T=fp16|fp32|int32"
_BOOLEANS: Final = "x:T, y:T; T=bool"


@op(CoreML5=_NUMBERS)
def add(x: Tensor, y: Tensor) -> Tensor:
    """`x + y`."""
    return torch.add(x, y)


@op(CoreML5=_NUMBERS)
def equal(x: Tensor, y: Tensor) -> Tensor:
    """`x == y`."""
    return torch.eq(x, y)


@op(CoreML5=_NUMBERS)
def floor_div(x: Tensor, y: Tensor) -> Tensor:
    """`x / y` rounded down, for integers too."""
    return torch.div(x, y, rounding_mode="floor")


@op(CoreML5=_NUMBERS)
def greater(x: Tensor, y: Tensor) -> Tensor:
    """`x > y`."""
    return torch.gt(x, y)


@op(CoreML5=_NUMBERS)
def greater_equal(x: Tensor, y: Tensor) -> Tensor:
    """`x >= y`."""
    return torch.ge(x, y)


@op(CoreML5=_NUMBERS)
def less(x: Tensor, y: Tensor) -> Tensor:
    """`x < y`."""
    return torch.lt(x, y)


@op(CoreML5=_NUMBERS)
def less_equal(x: Tensor, y: Tensor) -> Tensor:
    """`x <= y`."""
    return torch.le(x, y)


@op(CoreML5=_BOOLEANS)
def logical_and(x: Tensor, y: Tensor) -> Tensor:
    """Whether x and y hold."""
    return torch.logical_and(x, y)


@op(CoreML5=_BOOLEANS)
def logical_or(x: Tensor, y: Tensor) -> Tensor:
    """Whether x or y holds."""
    return torch.logical_or(x, y)


@op(CoreML5=_BOOLEANS)
def logical_xor(x: Tensor, y: Tensor) -> Tensor:
    """Whether one of x and y holds, and one only."""
    return torch.logical_xor(x, y)


@op(CoreML5=_NUMBERS)
def maximum(x: Tensor, y: Tensor) -> Tensor:
    """The larger of x and y."""
    return torch.maximum(x, y)


@op(CoreML5=_NUMBERS)
def minimum(x: Tensor, y: Tensor) -> Tensor:
    """The smaller of x and y."""
    return torch.minimum(x, y)


@op(CoreML5=_NUMBERS)
def mod(x: Tensor, y: Tensor) -> Tensor:
    """`x - floor(x / y) * y`, which has the sign of y."""
    return torch.remainder(x, y)


@op(CoreML5=_NUMBERS)
def mul(x: Tensor, y: Tensor) -> Tensor:
    """`x * y`."""
    return torch.mul(x, y)


@op(CoreML5=_NUMBERS)
def not_equal(x: Tensor, y: Tensor) -> Tensor:
    """`x != y`."""
    return torch.ne(x, y)


@op(CoreML5=_NUMBERS)
def pow(x: Tensor, y: Tensor) -> Tensor:
    """`x` to the power y."""
    return torch.pow(x, y)


@op(CoreML5=_NUMBERS)
def real_div(x: Tensor, y: Tensor) -> Tensor:
    """`x / y`; of integers, rounded towards zero, for the result is an integer too."""
    return torch.div(x, y) if x.is_floating_point() else torch.div(x, y, rounding_mode="trunc")


@op(CoreML5=_NUMBERS)
def sub(x: Tensor, y: Tensor) -> Tensor:
    """`x - y`."""
    return torch.sub(x, y)
