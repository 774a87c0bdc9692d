"""Norms, and distances between rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mlpress.converter.lowering.context import Context
from mlpress.converter.lowering.registry import lowers
from mlpress.mil import Value


@lowers("aten.cdist.default", "aten._cdist_forward.default")
def cdist(context: Context, x: Value, y: Value, order: float = 2.0, mode: int | None = None) -> Value:
    """The norm of the difference of each row of x and each row of y."""
    del mode
    across = context.expand_dims(x, [context.rank(x) - 1])
    down = context.expand_dims(y, [context.rank(y) - 2])
    return norm(context, context.op("sub", x=across, y=down), float(order), [-1], False)


@lowers("aten._pdist_forward.default")
def pdist(context: Context, x: Value, order: float = 2.0) -> Value:
    """The norm of the difference of each pair of rows."""
    first, second = np.triu_indices(context.size(x, 0), 1)
    parts = [context.op("gather", x=x, indices=rows.astype(np.int32), axis=0) for rows in (first, second)]
    return norm(context, context.op("sub", x=parts[0], y=parts[1]), float(order), [-1], False)


def norm(context: Context, x: Value, order: float, axes: Sequence[int], keep_dims: bool) -> Value:
    """The norm over `axes`; of order 0, the number of elements that are not 0."""
    where: dict[str, Any] = {"axes": list(axes), "keep_dims": keep_dims}
    kinds = {1.0: "reduce_l1_norm", 2.0: "reduce_l2_norm"}
    if order in kinds:
        return context.op(kinds[order], x=x, **where)
    magnitude = context.op("abs", x=x)
    if order == float("inf"):
        return context.op("reduce_max", x=magnitude, **where)
    if order == -float("inf"):
        return context.op("reduce_min", x=magnitude, **where)
    if order == 0:
        return context.op("reduce_sum", x=context.op("sign", x=magnitude), **where)
    total = context.op("reduce_sum", x=context.op("pow", x=magnitude, y=order), **where)
    return context.op("pow", x=total, y=1.0 / order)
