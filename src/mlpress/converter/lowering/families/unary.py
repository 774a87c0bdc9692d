"""Functions of one number, and changes of the element type."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

import torch

from mlpress import bits
from mlpress.converter.lowering.context import Context
from mlpress.converter.lowering.families.binary import truncated
from mlpress.converter.lowering.registry import lowers
from mlpress.converter.lowering.values import program_dtype
from mlpress.mil import Value

_SAME: Final = [
    "acos",
    "asin",
    "atan",
    "atanh",
    "ceil",
    "cos",
    "cosh",
    "erf",
    "exp",
    "exp2",
    "floor",
    "relu",
    "relu6",
    "round",
    "sigmoid",
    "sin",
    "sinh",
    "sqrt",
    "tan",
    "tanh",
]
"""ATen's name and MIL's are the same, operands are floats."""

_ROUNDING: Final = ("ceil", "floor", "round", "trunc")


def _same(kind: str) -> Callable[..., Value]:
    def function(context: Context, x: Value) -> Value:
        if kind in _ROUNDING and context.dtype(x) == bits.INT32:
            return x
        if kind == "relu" and context.dtype(x) == bits.INT32:
            return context.result("maximum", x=x, y=0)
        return context.result(kind, x=context.floats(x))

    return function


for _name in _SAME:
    lowers(f"aten.{_name}.default")(_same(_name))


@lowers(
    "aten.clone.default",
    "aten.alias.default",
    "aten.detach.default",
    "aten.contiguous.default",
    "aten.lift_fresh_copy.default",
    "aten.lift_fresh.default",
    "aten._assert_tensor_metadata.default",
    "aten.view_as_real.default",
    "aten.positive.default",
)
def same(context: Context, x: Value, *rest: Any) -> Value:
    """X itself."""
    del context, rest
    return x


@lowers("aten.dropout.default", "aten.alpha_dropout.default", "aten.feature_dropout.default")
def dropout(context: Context, x: Value, p: float, train: bool) -> Value:
    """X itself: a converted model is not trained."""
    del context, p, train
    return x


@lowers("aten.native_dropout.default")
def native_dropout(context: Context, x: Value, p: float, train: bool | None) -> tuple[Value, None]:
    """X itself; its second result, the mask, has a use in training only."""
    del context, p, train
    return x, None


@lowers("aten._to_copy.default")
def to_copy(context: Context, x: Value, *, dtype: torch.dtype | None = None) -> Value:
    """X in another element type; between types of floats this is left to the precision of the program."""
    del dtype
    return context.as_result(x)


@lowers("aten.to.dtype", "aten.to.device", "aten.to.dtype_layout", "aten.type_as.default", "aten.to.other")
def to(context: Context, x: Value, *rest: Any) -> Value:
    """As `to_copy`."""
    del rest
    return context.as_result(x)


@lowers("aten.abs.default")
def abs_(context: Context, x: Value) -> Value:
    """|x|."""
    return context.result("abs", x=x)


@lowers("aten.neg.default")
def neg(context: Context, x: Value) -> Value:
    """-x."""
    return context.result("mul", x=x, y=-1)


@lowers("aten.sign.default", "aten.sgn.default")
def sign(context: Context, x: Value) -> Value:
    """-1, 0 or 1."""
    return x if context.dtype(x) == bits.BOOL else context.result("sign", x=x)


@lowers("aten.square.default")
def square(context: Context, x: Value) -> Value:
    """x²."""
    return context.result("square", x=x)


@lowers("aten.rsqrt.default")
def rsqrt(context: Context, x: Value) -> Value:
    """1 / sqrt(x)."""
    return context.result("rsqrt", x=context.floats(x), epsilon=0.0)


@lowers("aten.reciprocal.default")
def reciprocal(context: Context, x: Value) -> Value:
    """1 / x."""
    return context.result("real_div", x=1.0, y=context.floats(x))


@lowers("aten.log.default")
def log(context: Context, x: Value) -> Value:
    """The natural logarithm."""
    return context.result("log", x=context.floats(x), epsilon=0.0)


def _log_of_base(base: float) -> Callable[..., Value]:
    def function(context: Context, x: Value) -> Value:
        natural = context.op("log", x=context.floats(x), epsilon=0.0)
        return context.result("mul", x=natural, y=1.0 / math.log(base))

    return function


lowers("aten.log2.default")(_log_of_base(2.0))
lowers("aten.log10.default")(_log_of_base(10.0))


@lowers("aten.log1p.default")
def log1p(context: Context, x: Value) -> Value:
    """log(1 + x)."""
    return context.result("log", x=context.op("add", x=context.floats(x), y=1.0), epsilon=0.0)


@lowers("aten.expm1.default")
def expm1(context: Context, x: Value) -> Value:
    """exp(x) - 1, for small x by 2 sinh(x / 2) exp(x / 2), which does not cancel."""
    half = context.op("mul", x=context.floats(x), y=0.5)
    product = context.op("mul", x=context.op("sinh", x=half), y=context.op("exp", x=half))
    return context.result("mul", x=product, y=2.0)


@lowers("aten.acosh.default")
def acosh(context: Context, x: Value) -> Value:
    """log(x + sqrt(x² - 1))."""
    x = context.floats(x)
    root = context.op("sqrt", x=context.op("sub", x=context.op("square", x=x), y=1.0))
    return context.result("log", x=context.op("add", x=x, y=root), epsilon=0.0)


@lowers("aten.asinh.default")
def asinh(context: Context, x: Value) -> Value:
    """sign(x) log(|x| + sqrt(x² + 1))."""
    x = context.floats(x)
    root = context.op("sqrt", x=context.op("add", x=context.op("square", x=x), y=1.0))
    magnitude = context.op("log", x=context.op("add", x=context.op("abs", x=x), y=root), epsilon=0.0)
    return context.result("mul", x=context.op("sign", x=x), y=magnitude)


@lowers("aten.erfc.default")
def erfc(context: Context, x: Value) -> Value:
    """1 - erf(x)."""
    return context.result("sub", x=1.0, y=context.op("erf", x=context.floats(x)))


@lowers("aten.trunc.default", "aten.fix.default")
def trunc(context: Context, x: Value) -> Value:
    """X without its fraction."""
    return x if context.dtype(x) == bits.INT32 else truncated(context, x)


@lowers("aten.frac.default")
def frac(context: Context, x: Value) -> Value:
    """The fraction of x, with its sign."""
    magnitude = context.op("abs", x=x)
    fraction = context.op("sub", x=magnitude, y=context.op("floor", x=magnitude))
    return context.result("mul", x=fraction, y=context.op("sign", x=x))


@lowers("aten.round.decimals")
def round_decimals(context: Context, x: Value, *, decimals: int) -> Value:
    """X rounded to a number of decimals."""
    scaled = context.op("mul", x=x, y=10.0**decimals)
    return context.result("mul", x=context.op("round", x=scaled), y=10.0**-decimals)


@lowers("aten.logical_not.default", "aten.bitwise_not.default")
def logical_not(context: Context, x: Value) -> Value:
    """Whether x is not set; of integers, bitwise: -1 - x."""
    if context.expected.dtype is not torch.bool:
        return context.result("sub", x=-1, y=x)
    return context.result("logical_not", x=context.cast(x, bits.BOOL))


@lowers("aten.isnan.default")
def isnan(context: Context, x: Value) -> Value:
    """Whether x is not a number, that is unequal to itself."""
    return context.result("not_equal", x=x, y=x)


@lowers("aten.isinf.default")
def isinf(context: Context, x: Value) -> Value:
    """Whether x is infinite."""
    infinity = context.constant(math.inf)
    return context.result("equal", x=context.op("abs", x=context.floats(x)), y=infinity)


@lowers("aten.isfinite.default")
def isfinite(context: Context, x: Value) -> Value:
    """Whether x is a finite number."""
    infinity = context.constant(math.inf)
    return context.result("less", x=context.op("abs", x=context.floats(x)), y=infinity)


@lowers("aten.clamp.default", "aten.clamp.Tensor", "aten.hardtanh.default", "aten.clip.default")
def clamp(context: Context, x: Value, low: Any = None, high: Any = None) -> Value:
    """X between low and high."""
    dtype = program_dtype(context.expected.dtype)
    plain = isinstance(low, int | float) and isinstance(high, int | float)
    if plain and dtype == bits.FLOAT32 and low < high:
        if low == 0 and high == 6:
            return context.result("relu6", x=context.floats(x))
        return context.result("clip", x=context.floats(x), alpha=float(low), beta=float(high))
    x = context.cast(x, dtype)
    if low is not None and (low != 0 or dtype != bits.FLOAT32):
        x = context.op("maximum", x=x, y=context.cast(low, dtype))
    elif low is not None:
        x = context.op("relu", x=x)
    return x if high is None else context.op("minimum", x=x, y=context.cast(high, dtype))


@lowers("aten.clamp_min.default", "aten.clamp_min.Tensor")
def clamp_min(context: Context, x: Value, low: Any) -> Value:
    """The larger of x and `low`."""
    return clamp(context, x, low, None)


@lowers("aten.clamp_max.default", "aten.clamp_max.Tensor")
def clamp_max(context: Context, x: Value, high: Any) -> Value:
    """The smaller of x and `high`."""
    return clamp(context, x, None, high)


@lowers("aten.nan_to_num.default")
def nan_to_num(
    context: Context, x: Value, nan: float | None, posinf: float | None, neginf: float | None
) -> Value:
    """X with finite numbers for what is not finite."""
    largest = torch.finfo(torch.float32).max
    x = context.op("select", cond=context.op("not_equal", x=x, y=x), a=nan or 0.0, b=x)
    low, high = -largest if neginf is None else neginf, largest if posinf is None else posinf
    x = context.op("select", cond=context.op("equal", x=x, y=math.inf), a=high, b=x)
    return context.result("select", cond=context.op("equal", x=x, y=-math.inf), a=low, b=x)
