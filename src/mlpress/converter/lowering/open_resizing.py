"""Resizing along an axis whose sizes only a run knows."""

from __future__ import annotations

from typing import Final

import numpy as np

from mlpress.converter.lowering.context import Context
from mlpress.converter.lowering.counting import count
from mlpress.converter.lowering.errors import LoweringError
from mlpress.converter.lowering.sizes import Size
from mlpress.mil import Value

MODES: Final = ("linear", "nearest", "nearest_exact")


def resize_open_axis(
    context: Context, x: Value, axis: int, size: Size, mode: str, align_corners: bool, factor: float | None
) -> Value:
    """Returns `x` with another size along an axis.

    Args:
        context: Where operations go.
        x: Of rank 3 or more.
        axis: One of the last.
        size: The new size.
        mode: One of `MODES`.
        align_corners: Whether the outermost elements stay where they are.
        factor: What positions are divided by to find where they come from; None for the ratio of the sizes.

    Raises:
        LoweringError: There is nothing to express the mode with.
    """
    if mode not in MODES:
        raise LoweringError(f"an image of open size is resized ({mode}); supported: {', '.join(MODES)}")
    old, new = context.floats(context.shape(x)[axis]), context.floats(size)
    last = context.op("sub", x=old, y=np.float32(1))
    if align_corners:
        gaps = context.op("maximum", x=context.op("sub", x=new, y=np.float32(1)), y=np.float32(1))
        step = context.op("real_div", x=last, y=gaps)
    else:
        step = (
            context.op("real_div", x=old, y=new)
            if factor is None
            else context.constant(np.float32(1 / factor))
        )
    places = count(context, size)
    if mode == "nearest" or align_corners:
        places = context.op("mul", x=places, y=step)
    else:
        places = context.op("mul", x=context.op("add", x=places, y=np.float32(0.5)), y=step)
        if mode == "linear":
            places = context.op("sub", x=places, y=np.float32(0.5))
    places = context.op("maximum", x=context.op("minimum", x=places, y=last), y=np.float32(0))
    if mode != "linear":
        indices = context.op("cast", x=context.op("floor", x=places), dtype="int32")
        return context.op("gather", x=x, indices=indices, axis=axis)
    return _weighted(context, x, axis, places)


def _weighted(context: Context, x: Value, axis: int, places: Value) -> Value:
    """A product with a matrix that has, in each row, the shares of the two elements next to a place."""
    elements = count(context, context.shape(x)[axis])
    distances = context.op("abs", x=context.op("sub", x=context.expand_dims(places, [1]), y=elements))
    weights = context.op("relu", x=context.op("sub", x=np.float32(1), y=distances))
    if axis == context.rank(x) - 2:
        return context.op("matmul", x=weights, y=x)
    perm = list(range(context.rank(x)))
    perm[axis], perm[-1] = perm[-1], perm[axis]
    product = context.op("matmul", x=context.transpose(x, perm), y=weights, transpose_y=True)
    return context.transpose(product, perm)
