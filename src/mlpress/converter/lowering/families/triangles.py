"""Triangles of matrices."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mlpress import bits
from mlpress.converter.lowering.context import Context
from mlpress.converter.lowering.registry import lowers
from mlpress.mil import Value


@lowers("aten.tril.default")
def tril(context: Context, x: Value, diagonal: int = 0) -> Value:
    """Zeros above a diagonal."""
    if diagonal >= 0:  # `band_part` reads negative bounds as "all"
        return _band(context, x, lower=-1, upper=diagonal)
    return _masked(context, x, np.tril(_ones(context, x), diagonal))


@lowers("aten.triu.default")
def triu(context: Context, x: Value, diagonal: int = 0) -> Value:
    """Zeros below a diagonal."""
    if diagonal <= 0:
        return _band(context, x, lower=-diagonal, upper=-1)
    return _masked(context, x, np.triu(_ones(context, x), diagonal))


def _band(context: Context, x: Value, lower: int, upper: int) -> Value:
    dtype = context.dtype(x)
    numbers = context.cast(x, bits.INT32) if dtype == bits.BOOL else x
    return context.cast(context.op("band_part", x=numbers, lower=lower, upper=upper), dtype)


def _ones(context: Context, x: Value) -> npt.NDArray[np.bool_]:
    return np.ones((context.size(x, -2), context.size(x, -1)), bool)


def _masked(context: Context, x: Value, mask: npt.NDArray[np.bool_]) -> Value:
    return context.result("select", cond=mask, a=x, b=context.cast(0, context.dtype(x)))
