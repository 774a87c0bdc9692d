"""Mixtures of experts."""

from __future__ import annotations

import numpy as np

from mlpress import bits
from mlpress.converter.lowering.context import Context
from mlpress.converter.lowering.errors import LoweringError
from mlpress.converter.lowering.registry import lowers
from mlpress.mil import Value


@lowers("aten._grouped_mm.default", "transformers.grouped_mm_fallback.default")
def grouped_mm(
    context: Context, x: Value, weights: Value, ends: Value, bias: Value | None = None, dtype: object = None
) -> Value:
    """Rows of x times the weights of their expert; rows of expert i end before ends[i].

    Every expert works on every row, and a mask keeps the results that count: a program has no loop over
    groups whose sizes only a run knows.

    Args:
        context: Where to append.
        x: [rows, k].
        weights: [experts, k, n].
        ends: [experts].
        bias: None.
        dtype: Of the result; settled later.
    """
    del dtype
    if bias is not None or context.rank(x) != 2 or context.rank(weights) != 3:
        raise LoweringError("grouped_mm with a bias, or of other ranks than 2 and 3")
    experts, rows = context.size(weights, 0), context.size(x, 0)
    products = context.op("matmul", x=context.expand_dims(x, [0]), y=weights)
    row = context.constant(np.arange(rows, dtype=np.int32)[:, None])
    passed = context.cast(context.op("greater_equal", x=row, y=ends), bits.INT32)
    expert = context.op("reduce_sum", x=passed, axes=[-1], keep_dims=False)
    own = context.op("equal", x=context.constant(np.arange(experts, dtype=np.int32)[:, None]), y=expert)
    mask = context.expand_dims(context.floats(own), [2])
    return context.op("reduce_sum", x=context.op("mul", x=products, y=mask), axes=[0], keep_dims=False)


@lowers("aten.histc.default")
def histc(context: Context, x: Value, bins: int = 100, low: float = 0, high: float = 0) -> Value:
    """How many elements fall into each of `bins` equal parts of [low, high]."""
    if low >= high:
        raise LoweringError("histc without bounds of its own")
    flat = context.reshape(context.floats(x), [-1])
    place = context.op(
        "floor", x=context.op("mul", x=context.op("sub", x=flat, y=float(low)), y=bins / (high - low))
    )
    inside = context.op("select", cond=context.op("equal", x=flat, y=float(high)), a=float(bins - 1), b=place)
    numbers = context.constant(np.arange(bins, dtype=np.float32)[:, None])
    hits = context.floats(context.op("equal", x=numbers, y=inside))
    return context.as_result(context.op("reduce_sum", x=hits, axes=[1], keep_dims=False))
