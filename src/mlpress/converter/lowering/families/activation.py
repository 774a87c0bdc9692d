"""Activations."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlpress.converter.lowering.context import Context
from mlpress.converter.lowering.errors import LoweringError
from mlpress.converter.lowering.registry import lowers
from mlpress.mil import Value

_SELU_SCALE, _SELU_ALPHA = 1.0507009873554805, 1.6732632423543772  # Klambauer et al. 2017


@lowers("aten.gelu.default")
def gelu(context: Context, x: Value, *, approximate: str = "none") -> Value:
    """The Gaussian error linear unit, exact or by tanh."""
    return context.result("gelu", x=x, mode="EXACT" if approximate == "none" else "TANH_APPROXIMATION")


@lowers("aten.silu.default")
def silu(context: Context, x: Value) -> Value:
    """X sigmoid(x)."""
    return context.result("silu", x=x)


@lowers("aten.hardsigmoid.default")
def hardsigmoid(context: Context, x: Value) -> Value:
    """clamp(x / 6 + 1 / 2, 0, 1)."""
    return context.result("sigmoid_hard", x=x, alpha=1 / 6, beta=0.5)


@lowers("aten.hardswish.default")
def hardswish(context: Context, x: Value) -> Value:
    """X hardsigmoid(x)."""
    return context.result("mul", x=x, y=context.op("sigmoid_hard", x=x, alpha=1 / 6, beta=0.5))


@lowers("aten.leaky_relu.default")
def leaky_relu(context: Context, x: Value, slope: float) -> Value:
    """X, times `slope` where it is negative."""
    return context.result("leaky_relu", x=x, alpha=float(slope))


@lowers("aten.rrelu.default")
def rrelu(context: Context, x: Value, lower: float, upper: float, train: bool, generator: Any) -> Value:
    """X, times the middle of lower and upper where it is negative."""
    del train, generator
    return context.result("leaky_relu", x=x, alpha=(lower + upper) / 2)


@lowers("aten.elu.default")
def elu(context: Context, x: Value, alpha: float, scale: float, input_scale: float) -> Value:
    """`scale` times x, or alpha (exp(input_scale x) - 1) where x is negative."""
    if input_scale != 1:
        raise LoweringError(f"elu with input_scale {input_scale}; supported: 1")
    if scale == 1:
        return context.result("elu", x=x, alpha=float(alpha))
    return context.result("mul", x=context.op("elu", x=x, alpha=float(alpha)), y=float(scale))


@lowers("aten.selu.default")
def selu(context: Context, x: Value) -> Value:
    """A scaled elu."""
    return context.result("mul", x=context.op("elu", x=x, alpha=_SELU_ALPHA), y=_SELU_SCALE)


@lowers("aten.celu.default")
def celu(context: Context, x: Value, alpha: float) -> Value:
    """max(0, x) + min(0, alpha (exp(x / alpha) - 1))."""
    inner = context.op("elu", x=context.op("mul", x=x, y=1.0 / alpha), alpha=1.0)
    return context.result("mul", x=inner, y=float(alpha))


@lowers("aten.softplus.default")
def softplus(context: Context, x: Value, beta: float, threshold: float) -> Value:
    """log(1 + exp(beta x)) / beta; beyond the threshold both are equal in float32."""
    del threshold
    if beta == 1:
        return context.result("softplus", x=x)
    inner = context.op("softplus", x=context.op("mul", x=x, y=float(beta)))
    return context.result("mul", x=inner, y=1.0 / beta)


@lowers("aten.mish.default")
def mish(context: Context, x: Value) -> Value:
    """X tanh(softplus(x))."""
    return context.result("mul", x=x, y=context.op("tanh", x=context.op("softplus", x=x)))


@lowers("aten.log_sigmoid.default", "aten.log_sigmoid_forward.default")
def log_sigmoid(context: Context, x: Value) -> Value | tuple[Value, None]:
    """-softplus(-x); its second result has a use in training only."""
    inner = context.op("softplus", x=context.op("mul", x=x, y=-1.0))
    y = context.op("mul", x=inner, y=-1.0)
    return (y, None) if isinstance(context.expected, tuple | list) else y


@lowers("aten.softsign.default")
def softsign(context: Context, x: Value) -> Value:
    """X / (1 + |x|)."""
    return context.result("softsign", x=x)


@lowers("aten.tanhshrink.default")
def tanhshrink(context: Context, x: Value) -> Value:
    """X - tanh(x)."""
    return context.result("sub", x=x, y=context.op("tanh", x=x))


@lowers("aten.threshold.default")
def threshold(context: Context, x: Value, bound: float, value: float) -> Value:
    """X where it is above `bound`, else `value`."""
    above = context.op("greater", x=x, y=float(bound))
    return context.result("select", cond=above, a=x, b=float(value))


@lowers("aten.hardshrink.default")
def hardshrink(context: Context, x: Value, bound: float) -> Value:
    """X where its magnitude is above `bound`, else 0."""
    above = context.op("greater", x=context.op("abs", x=x), y=float(bound))
    return context.result("select", cond=above, a=x, b=0.0)


@lowers("aten.softshrink.default")
def softshrink(context: Context, x: Value, bound: float) -> Value:
    """X moved towards 0 by `bound`."""
    moved = context.op("relu", x=context.op("sub", x=context.op("abs", x=x), y=float(bound)))
    return context.result("mul", x=moved, y=context.op("sign", x=x))


@lowers("aten.prelu.default", "aten._prelu_kernel.default")
def prelu(context: Context, x: Value, weight: Value) -> Value:
    """X, times the weight of its channel where it is negative."""
    alpha = context.array(weight)
    rank = context.rank(x)
    if alpha is None or (alpha.size > 1 and not 3 <= rank <= 5):
        return _prelu_by_parts(context, x, weight)
    if alpha.size == 1:
        return context.result("leaky_relu", x=x, alpha=float(alpha.reshape(-1)[0]))
    return context.result("prelu", x=x, alpha=alpha.reshape(-1))


def _prelu_by_parts(context: Context, x: Value, weight: Value) -> Value:
    channels = [1, -1, *[1] * (context.rank(x) - 2)] if context.rank(x) > 1 else [-1]
    slope = context.op("reshape", x=weight, shape=channels) if context.rank(weight) == 1 else weight
    below = context.op("mul", x=context.op("minimum", x=x, y=0.0), y=slope)
    return context.result("add", x=context.op("relu", x=x), y=below)


@lowers("aten.glu.default")
def glu(context: Context, x: Value, axis: int) -> Value:
    """The first half times the sigmoid of the second."""
    first, second = context.ops("split", x=x, num_splits=2, axis=axis)
    return context.result("mul", x=first, y=context.op("sigmoid", x=second))


@lowers("aten.softmax.int", "aten._softmax.default", "aten._safe_softmax.default")
def softmax(context: Context, x: Value, axis: int, *rest: Any, dtype: Any = None) -> Value:
    """exp(x) divided by its sum along `axis`."""
    del rest, dtype
    return context.result("softmax", x=context.floats(x), axis=axis) if context.rank(x) else _one(context, x)


def _one(context: Context, x: Value) -> Value:
    return context.result("identity", x=context.constant(np.float32(1.0)))


@lowers("aten.log_softmax.int", "aten._log_softmax.default")
def log_softmax(context: Context, x: Value, axis: int, *rest: Any, dtype: Any = None) -> Value:
    """X - log(sum of exp(x)), which stays finite where softmax rounds to 0."""
    del rest, dtype
    x = context.floats(x)
    shifted = context.op("sub", x=x, y=context.op("reduce_max", x=x, axes=[axis], keep_dims=True))
    total = context.op("reduce_log_sum_exp", x=shifted, axes=[axis], keep_dims=True)
    return context.result("sub", x=shifted, y=total)
