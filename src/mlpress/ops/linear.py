"""Products of matrices."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from mlpress.ops.op import op
from mlpress.ops.operands import like, like_or_none


@op(CoreML5="values:tensors, equation:string const")
def einsum(values: Sequence[Tensor], equation: str) -> Tensor:
    """Einstein summation of two tensors; axes of size 1 broadcast."""
    return torch.einsum(equation, *values)


@op(
    CoreML5="x:T, weight:T const, bias:T const?; T=fp16|fp32|int32",
    CoreML7="x:T, weight:U const, bias:U const?; T=fp16|fp32|int32, U=fp16|fp32|int32",
)
def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`x @ weight.T + bias`, with `weight` of shape [features out, features in]."""
    weight, bias = like(weight, x), like_or_none(bias, x)
    if x.is_floating_point():
        return F.linear(x, weight, bias)
    product = _in_double(torch.matmul, x, weight.t())
    return product if bias is None else product + bias


@op(
    CoreML5="x:T, y:T, transpose_x:bool const?, transpose_y:bool const?; T=fp16|fp32|int32",
    CoreML7="x:T, y:U, transpose_x:bool const?, transpose_y:bool const?; "
    "T=fp16|fp32|int32, U=fp16|fp32|int32",
)
def matmul(x: Tensor, y: Tensor, transpose_x: bool = False, transpose_y: bool = False) -> Tensor:
    """Matrix product as in NumPy, the last two axes swapped where asked for; of the type of `x`."""
    y = like(y, x)
    if transpose_x and x.dim() > 1:
        x = x.transpose(-1, -2)
    if transpose_y and y.dim() > 1:
        y = y.transpose(-1, -2)
    return torch.matmul(x, y) if x.is_floating_point() else _in_double(torch.matmul, x, y)


def _in_double(product: Callable[[Tensor, Tensor], Tensor], x: Tensor, y: Tensor) -> Tensor:
    # CUDA multiplies no matrices of integers. Exact while sums stay below 2^53; beyond 32 bits they wrap.
    return product(x.double(), y.double()).long().to(x.dtype)
