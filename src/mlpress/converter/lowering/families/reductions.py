"""Sums, means, extremes and other reductions; sorting."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from mlpress import bits
from mlpress.converter.lowering.context import Context
from mlpress.converter.lowering.errors import LoweringError
from mlpress.converter.lowering.registry import lowers
from mlpress.converter.lowering.sizes import Size, known
from mlpress.mil import Value


def _axes(context: Context, x: Value, given: Any) -> list[int]:
    """Returns the axes that a reduction goes over; none given means all."""
    several = [given] if isinstance(given, int) else list(given or [])
    return several or list(range(context.rank(x)))


def _reduce(context: Context, kind: str, x: Value, axes: Any, keep_dims: bool) -> Value:
    if context.rank(x) == 0:
        return context.squeeze(_reduce(context, kind, context.expand_dims(x, [0]), [0], True), [0])
    return context.op(kind, x=x, axes=_axes(context, x, axes), keep_dims=keep_dims)


def _number_reduction(kind: str) -> Callable[..., Value]:
    def function(
        context: Context,
        x: Value,
        axes: Any = None,
        keep_dims: bool = False,
        *,
        dtype: torch.dtype | None = None,
    ) -> Value:
        del dtype
        return _reduce(context, kind, context.as_result(x), axes, keep_dims)

    return function


for _aten, _mil in {"sum": "reduce_sum", "mean": "reduce_mean", "prod": "reduce_prod"}.items():
    lowers(
        f"aten.{_aten}.default", f"aten.{_aten}.dim", f"aten.{_aten}.dim_IntList", f"aten.{_aten}.dim_int"
    )(_number_reduction(_mil))


def _extreme(kind: str) -> Callable[..., Value]:
    def function(context: Context, x: Value, axes: Any = None, keep_dims: bool = False) -> Value:
        if context.dtype(x) == bits.BOOL:
            return context.cast(
                _reduce(context, kind, context.cast(x, bits.INT32), axes, keep_dims), bits.BOOL
            )
        return _reduce(context, kind, x, axes, keep_dims)

    return function


for _aten, _mil in {"max": "reduce_max", "min": "reduce_min"}.items():
    lowers(f"aten.a{_aten}.default", f"aten.{_aten}.default")(_extreme(_mil))


def _extreme_with_index(values: str, indices: str) -> Callable[..., tuple[Value, Value]]:
    def function(context: Context, x: Value, axis: int, keep_dims: bool = False) -> tuple[Value, Value]:
        if context.rank(x) == 0:
            return x, context.constant(0)
        largest = context.op(values, x=x, axes=[axis], keep_dims=keep_dims)
        return largest, context.op(indices, x=x, axis=axis, keep_dims=keep_dims)

    return function


lowers("aten.max.dim")(_extreme_with_index("reduce_max", "reduce_argmax"))
lowers("aten.min.dim")(_extreme_with_index("reduce_min", "reduce_argmin"))


def _arg_extreme(kind: str) -> Callable[..., Value]:
    def function(context: Context, x: Value, axis: int | None = None, keep_dims: bool = False) -> Value:
        if context.rank(x) == 0:
            return context.constant(0)
        x = context.cast(x, bits.INT32) if context.dtype(x) == bits.BOOL else x
        if axis is not None:
            return context.op(kind, x=x, axis=axis, keep_dims=keep_dims)
        index = context.op(kind, x=context.reshape(x, [-1]), axis=0, keep_dims=False)
        return context.reshape(index, [1] * context.rank(x)) if keep_dims else index

    return function


lowers("aten.argmax.default")(_arg_extreme("reduce_argmax"))
lowers("aten.argmin.default")(_arg_extreme("reduce_argmin"))


def _quantifier(kind: str) -> Callable[..., Value]:
    def function(context: Context, x: Value, axes: Any = None, keep_dims: bool = False) -> Value:
        is_set = context.cast(context.cast(x, bits.BOOL), bits.INT32)
        return context.cast(_reduce(context, kind, is_set, axes, keep_dims), bits.BOOL)

    return function


for _aten, _mil in {"any": "reduce_max", "all": "reduce_min"}.items():
    lowers(f"aten.{_aten}.default", f"aten.{_aten}.dim", f"aten.{_aten}.dims")(_quantifier(_mil))


@lowers("aten.logsumexp.default")
def logsumexp(context: Context, x: Value, axes: Sequence[int], keep_dims: bool = False) -> Value:
    """log(sum(exp(x))), of numbers less their maximum so that nothing overflows."""
    over = _axes(context, x, axes)
    largest = context.op("reduce_max", x=x, axes=over, keep_dims=True)
    shifted = context.op("reduce_log_sum_exp", x=context.op("sub", x=x, y=largest), axes=over, keep_dims=True)
    total = context.op("add", x=shifted, y=largest)
    return total if keep_dims else context.squeeze(total, over)


@lowers("aten.var.dim", "aten.var.default")
def var_unbiased(
    context: Context, x: Value, axes: Any = None, unbiased: bool = True, keep_dims: bool = False
) -> Value:
    """The variance, with the count less 1 if `unbiased`."""
    if isinstance(axes, bool):  # `var.default` has no axes
        axes, unbiased = None, axes
    return _variance(context, x, axes, float(unbiased), keep_dims)


@lowers("aten.var.correction")
def var(
    context: Context, x: Value, axes: Any = None, *, correction: float | None = None, keepdim: bool = False
) -> Value:
    """The mean square of what x differs from its mean by; the count is `correction` less."""
    return _variance(context, x, axes, 1 if correction is None else correction, keepdim)


@lowers("aten.std.correction")
def std(
    context: Context, x: Value, axes: Any = None, *, correction: float | None = None, keepdim: bool = False
) -> Value:
    """The root of the variance."""
    return context.result(
        "sqrt", x=_variance(context, x, axes, 1 if correction is None else correction, keepdim)
    )


@lowers("aten.var_mean.correction")
def var_mean(
    context: Context, x: Value, axes: Any = None, *, correction: float | None = None, keepdim: bool = False
) -> tuple[Value, Value]:
    """Variance and mean."""
    variance = _variance(context, x, axes, 1 if correction is None else correction, keepdim)
    return variance, _reduce(context, "reduce_mean", x, axes, keepdim)


def _variance(context: Context, x: Value, axes: Any, correction: float, keep_dims: bool) -> Value:
    over = _axes(context, x, axes)
    centered = context.op("sub", x=x, y=context.op("reduce_mean", x=x, axes=over, keep_dims=True))
    square = context.op("square", x=centered)
    if correction == 0:
        return context.op("reduce_mean", x=square, axes=over, keep_dims=keep_dims)
    total = context.op("reduce_mean", x=square, axes=over, keep_dims=keep_dims)
    count = context.count(x, over)
    if isinstance(count, float):
        factor = count / (count - correction) if count > correction else float("inf")
        return context.op("mul", x=total, y=factor)
    return context.op(
        "mul", x=total, y=context.op("real_div", x=count, y=context.op("sub", x=count, y=float(correction)))
    )


@lowers("aten.cumsum.default")
def cumsum(context: Context, x: Value, axis: int, *, dtype: torch.dtype | None = None) -> Value:
    """Sums of the elements up to each one."""
    del dtype
    if context.rank(x) == 0:
        return context.as_result(x)
    return context.result("cumsum", x=context.as_result(x), axis=axis, exclusive=False, reverse=False)


@lowers("aten.topk.default")
def topk(
    context: Context, x: Value, k: Size, axis: int = -1, largest: bool = True, ordered: bool = True
) -> tuple[Value, ...]:
    """The k largest (or smallest) elements and where they are, in order."""
    del ordered
    count = known(k)
    if count is None:
        raise LoweringError("topk with a k that only a run knows")
    return context.results("topk", x=x, k=count, axis=axis, ascending=not largest)


@lowers("aten.sort.default")
def sort(context: Context, x: Value, axis: int = -1, descending: bool = False) -> tuple[Value, Value]:
    """The elements in order and where they were."""
    order = argsort(context, x, axis, descending)
    return context.op("gather_along_axis", x=x, indices=order, axis=axis), order


@lowers("aten.sort.stable")
def sort_stable(
    context: Context, x: Value, *, stable: bool | None, dim: int = -1, descending: bool = False
) -> tuple[Value, Value]:
    """As `sort`."""
    del stable
    return sort(context, x, dim, descending)


@lowers("aten.argsort.default")
def argsort(context: Context, x: Value, axis: int = -1, descending: bool = False) -> Value:
    """Where the elements in order are."""
    return context.op("argsort", x=x, axis=axis, ascending=not descending)
