"""Attention."""

from __future__ import annotations

import math

import numpy as np
import torch

from mlpress import bits
from mlpress.converter.lowering.context import Context
from mlpress.converter.lowering.families.indexing import broadcast, widened
from mlpress.converter.lowering.registry import lowers
from mlpress.converter.lowering.sizes import Size, known
from mlpress.mil import Opset, Value


@lowers("aten.scaled_dot_product_attention.default")
def attention(
    context: Context,
    query: Value,
    key: Value,
    value: Value,
    mask: Value | None = None,
    dropout: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Value:
    """`softmax(scale query key^T + mask) value`; one op from iOS 18 on.

    The op scales by the root of the width of a head; for another scale the query is scaled beforehand.
    """
    del dropout
    if enable_gqa:
        key, value = (_repeated(context, part, query) for part in (key, value))
    if is_causal:
        mask = _causal(context, query, key)
    elif mask is not None and _lets_all_through(context, mask):
        mask = None
    width = context.size(query, -1)
    factor = 1.0 / math.sqrt(width) if scale is None else float(scale)
    if context.opset >= Opset.CoreML8 and context.rank(query) >= 3:
        if not math.isclose(factor * math.sqrt(width), 1.0, rel_tol=1e-6):
            query = context.op("mul", x=query, y=factor * math.sqrt(width))
        return _fused(context, query, key, value, mask)
    scaled = query if factor == 1 else context.op("mul", x=query, y=factor)
    scores = context.op("matmul", x=scaled, y=key, transpose_x=False, transpose_y=True)
    if mask is not None:
        scores = context.op("add", x=scores, y=_additive(context, mask))
    return context.result("matmul", x=context.op("softmax", x=scores, axis=-1), y=value)


def _lets_all_through(context: Context, mask: Value) -> bool:
    array = context.array(mask)
    if array is None:
        return False
    return bool(array.all() if array.dtype == bool else (array == 0).all())


def _fused(context: Context, query: Value, key: Value, value: Value, mask: Value | None) -> Value:
    """The op wants the same leading axes everywhere."""
    leading = context.expected.shape[:-2]
    query, key, value = (
        broadcast(context, part, [*leading, *context.shape(part)[-2:]]) for part in (query, key, value)
    )
    return context.result("scaled_dot_product_attention", query=query, key=key, value=value, attn_mask=mask)


def _additive(context: Context, mask: Value) -> Value:
    if context.dtype(mask) != bits.BOOL:
        return context.floats(mask)
    array = context.array(mask)
    if array is not None:
        return context.constant(np.where(array, 0.0, -math.inf).astype(np.float32), f"{mask.name}_scores")
    through = widened(context, context.constant(0.0), context.shape(mask))
    return context.op("select", cond=mask, a=through, b=-math.inf)


def _causal(context: Context, query: Value, key: Value) -> Value:
    """A mask that is set where the key does not come after the query."""
    rows, columns = context.shape(query)[-2], context.shape(key)[-2]
    if known(rows) is not None and known(columns) is not None:
        return context.constant(np.tri(known(rows) or 0, known(columns) or 0, dtype=bool), "causal_mask")
    down = context.expand_dims(_range(context, rows), [1])
    across = context.expand_dims(_range(context, columns), [0])
    return context.op("greater_equal", x=down, y=across)


def _range(context: Context, size: Size) -> Value:
    with context.builder.inference.mode:
        fake = torch.empty(size, dtype=torch.int32)
    return context.typed("range_1d", fake, start=0, end=context.sizes.scalar(size), step=1)


def _repeated(context: Context, x: Value, query: Value) -> Value:
    """Grouped heads: each head of x serves several heads of the query, that stand side by side."""
    heads, wanted = context.size(x, -3), context.size(query, -3)
    if heads == wanted:
        return x
    shape = context.shape(x)
    spread = context.expand_dims(x, [context.rank(x) - 2])
    reps = [1] * context.rank(spread)
    reps[-3] = wanted // heads
    tiled = context.op("tile", x=spread, reps=reps)
    return context.reshape(tiled, [*shape[:-3], wanted, *shape[-2:]])
