"""Triangles of matrices."""

from __future__ import annotations

import numpy as np
import torch

from mlpress import bits
from mlpress.converter.lowering.context import Context
from mlpress.converter.lowering.counting import count
from mlpress.converter.lowering.registry import lowers
from mlpress.converter.lowering.sizes import known
from mlpress.mil import Value


@lowers("aten.tril.default")
def tril(context: Context, x: Value, diagonal: int = 0) -> Value:
    """Zeros above a diagonal."""
    if diagonal >= 0:  # `band_part` reads negative bounds as "all"
        return _band(context, x, lower=-1, upper=diagonal)
    above, zero = _from(context, x, diagonal + 1), context.cast(0, context.dtype(x))
    return context.result("select", cond=above, a=zero, b=x)


@lowers("aten.triu.default")
def triu(context: Context, x: Value, diagonal: int = 0) -> Value:
    """Zeros below a diagonal."""
    if diagonal <= 0:
        return _band(context, x, lower=-diagonal, upper=-1)
    zero = context.cast(0, context.dtype(x))
    return context.result("select", cond=_from(context, x, diagonal), a=x, b=zero)


def _band(context: Context, x: Value, lower: int, upper: int) -> Value:
    dtype = context.dtype(x)
    numbers = context.cast(x, bits.INT32) if dtype == bits.BOOL else x
    return context.cast(context.op("band_part", x=numbers, lower=lower, upper=upper), dtype)


def _from(context: Context, x: Value, diagonal: int) -> Value:
    """Returns where in a matrix a diagonal is, and what is above it."""
    sizes = context.shape(x)[-2:]
    height, width = map(known, sizes)
    if height is not None and width is not None:
        return context.constant(np.triu(np.ones((height, width), bool), diagonal))
    rows, columns = (count(context, size, torch.int32) for size in sizes)
    distance = context.op("sub", x=columns, y=context.expand_dims(rows, [1]))
    return context.op("greater_equal", x=distance, y=np.int32(diagonal))
