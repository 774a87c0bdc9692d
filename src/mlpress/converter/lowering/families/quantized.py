"""Rounding to integers and back."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from mlpress.converter.lowering.context import Context
from mlpress.converter.lowering.registry import lowers
from mlpress.encoding import Dense
from mlpress.mil import Literal, Opset, Value

_TYPES: Final[dict[tuple[int, int], Any]] = {(0, 255): np.uint8, (-128, 127): np.int8}


@lowers("aten.fake_quantize_per_tensor_affine.default", "aten.fake_quantize_per_tensor_affine.tensor_qparams")
def per_tensor(
    context: Context, x: Value, scale: float | Value, zero: int | Value, low: int, high: int
) -> Value:
    """The nearest of the values ``scale * (integer - zero)`` with an integer from low to high."""
    known = [context.array(each) if isinstance(each, Value) else np.array(each) for each in (scale, zero)]
    kind = _TYPES.get((low, high))
    if kind is None or known[0] is None or known[1] is None or context.opset < Opset.CoreML7:
        factor, middle = (
            context.floats(each) if isinstance(each, Value) else float(each) for each in (scale, zero)
        )
        return _by_arithmetic(context, x, factor, middle, low, high)
    parameters = {
        "scale": context.constant(known[0].astype(np.float32).reshape(())),
        "zero_point": context.constant(known[1].astype(kind).reshape(())),
    }
    codes = context.op("quantize", input=x, output_dtype=kind.__name__, **parameters)
    return context.result("dequantize", input=codes, **parameters)


def _by_arithmetic(context: Context, x: Value, scale: Any, zero: Any, low: int, high: int) -> Value:
    """The same for integers of other widths, and where there is no quantize."""
    steps = context.op("round", x=context.op("real_div", x=x, y=scale))
    integers = context.op("clip", x=context.op("add", x=steps, y=zero), alpha=float(low), beta=float(high))
    return context.result("mul", x=context.op("sub", x=integers, y=zero), y=scale)


@lowers("aten.fake_quantize_per_channel_affine.default")
def per_channel(
    context: Context, x: Value, scale: Value, zero: Value, axis: int, low: int, high: int
) -> Value:
    """The same with a scale and a zero point for each index along an axis.

    A weight that is stored as integers is on this grid already.
    """
    constant = context.builder.inference.constant(x)
    if constant is not None and not isinstance(constant.data, Literal | Dense):
        return x
    sizes = [-1 if each == axis else 1 for each in range(context.rank(x))]
    factors, middles = (context.reshape(context.floats(each), sizes) for each in (scale, zero))
    return _by_arithmetic(context, x, factors, middles, low, high)
