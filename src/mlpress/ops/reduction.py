"""Reductions over axes (all of them if `axes` is left out). Reduced axes are dropped, or kept with size 1.

Integers stay integers; what is no integer is rounded towards zero.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import torch
from torch import Tensor

from mlpress.ops.dtypes import dtype_from_mil
from mlpress.ops.op import op
from mlpress.ops.operands import check_choice

_AXES: Final = "x:T, axes:int32 const?, keep_dims:bool const?; T=fp16|fp32|int32"
_AXIS: Final = {
    "CoreML5": "x:T, axis:int32 const?, keep_dims:bool const?; T=fp16|fp32|int32",
    "CoreML7": "x:T, axis:int32 const?, keep_dims:bool const?, output_dtype:string const?; T=fp16|fp32|int32",
}

Axes = Sequence[int] | None


@op(**_AXIS)
def reduce_argmax(x: Tensor, axis: int = -1, keep_dims: bool = False, output_dtype: str = "int32") -> Tensor:
    """Index of the maximum along `axis`, the first one of several."""
    return _index("reduce_argmax", torch.argmax(x, axis, keep_dims), output_dtype)


@op(**_AXIS)
def reduce_argmin(x: Tensor, axis: int = -1, keep_dims: bool = False, output_dtype: str = "int32") -> Tensor:
    """Index of the minimum along `axis`, the first one of several."""
    return _index("reduce_argmin", torch.argmin(x, axis, keep_dims), output_dtype)


@op(CoreML5=_AXES)
def reduce_l1_norm(x: Tensor, axes: Axes = None, keep_dims: bool = False) -> Tensor:
    """Sum of |x|."""
    return reduce_sum(torch.abs(x), axes, keep_dims)


@op(CoreML5=_AXES)
def reduce_l2_norm(x: Tensor, axes: Axes = None, keep_dims: bool = False) -> Tensor:
    """Square root of the sum of x^2."""
    return _as_float(lambda y: torch.sqrt(reduce_sum(y * y, axes, keep_dims)), x)


@op(CoreML5=_AXES)
def reduce_log_sum(x: Tensor, axes: Axes = None, keep_dims: bool = False) -> Tensor:
    """Natural logarithm of the sum of x."""
    return _as_float(lambda y: torch.log(reduce_sum(y, axes, keep_dims)), x)


@op(CoreML5=_AXES)
def reduce_log_sum_exp(x: Tensor, axes: Axes = None, keep_dims: bool = False) -> Tensor:
    """Natural logarithm of the sum of exp(x)."""
    return _as_float(lambda y: _reduce(torch.logsumexp, y, axes, keep_dims), x)


@op(CoreML5=_AXES)
def reduce_max(x: Tensor, axes: Axes = None, keep_dims: bool = False) -> Tensor:
    """Maximum."""
    return _reduce(torch.amax, x, axes, keep_dims)


@op(CoreML5=_AXES)
def reduce_mean(x: Tensor, axes: Axes = None, keep_dims: bool = False) -> Tensor:
    """Mean."""
    return _as_float(lambda y: _reduce(torch.mean, y, axes, keep_dims), x)


@op(CoreML5=_AXES)
def reduce_min(x: Tensor, axes: Axes = None, keep_dims: bool = False) -> Tensor:
    """Minimum."""
    return _reduce(torch.amin, x, axes, keep_dims)


@op(CoreML5=_AXES)
def reduce_prod(x: Tensor, axes: Axes = None, keep_dims: bool = False) -> Tensor:
    """Product."""
    return _reduce(_product, x, axes, keep_dims)


@op(CoreML5=_AXES)
def reduce_sum(x: Tensor, axes: Axes = None, keep_dims: bool = False) -> Tensor:
    """Sum."""
    return _reduce(_sum, x, axes, keep_dims)


@op(CoreML5=_AXES)
def reduce_sum_square(x: Tensor, axes: Axes = None, keep_dims: bool = False) -> Tensor:
    """Sum of x^2."""
    return reduce_sum(x * x, axes, keep_dims)


def _reduce(
    function: Callable[[Tensor, list[int], bool], Tensor], x: Tensor, axes: Axes, keep_dims: bool
) -> Tensor:
    over = list(range(x.dim()) if axes is None else axes)
    # Torch takes "no axes" for all of them; an axis of size 1 in front stands in for none.
    return function(x, over, keep_dims) if over else function(x.unsqueeze(0), [0], False)


def _sum(x: Tensor, axes: list[int], keep_dims: bool) -> Tensor:
    return torch.sum(x, axes, keep_dims, dtype=x.dtype)  # else integers become int64


def _product(x: Tensor, axes: list[int], keep_dims: bool) -> Tensor:
    for axis in sorted((axis % x.dim() for axis in axes), reverse=True):
        x = torch.prod(x, axis, keep_dims, dtype=x.dtype)
    return x


def _as_float(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    return function(x) if x.is_floating_point() else function(x.double()).to(x.dtype)


def _index(name: str, index: Tensor, output_dtype: str) -> Tensor:
    output_dtype = output_dtype.lower()
    check_choice(name, "output_dtype", output_dtype, ("int32", "uint16"))
    return index.to(dtype_from_mil(output_dtype))
