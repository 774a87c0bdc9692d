"""Arithmetic and comparison of two operands, with torch's rules for mixed element types."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import torch

from mlpress import bits
from mlpress.converter.lowering.context import Context, Operand
from mlpress.converter.lowering.errors import LoweringError
from mlpress.converter.lowering.registry import lowers
from mlpress.converter.lowering.values import program_dtype
from mlpress.mil import Value

_COMPARISONS: Final = {
    "eq": "equal",
    "ne": "not_equal",
    "lt": "less",
    "le": "less_equal",
    "gt": "greater",
    "ge": "greater_equal",
}
_LOGIC: Final = {"and": "logical_and", "or": "logical_or", "xor": "logical_xor"}


def arithmetic(context: Context, kind: str, x: Operand, y: Operand) -> Value:
    """Returns what op `kind` makes of x and y in the element type of the result."""
    dtype = program_dtype(context.expected.dtype)
    if dtype == bits.BOOL:
        raise LoweringError(f"{kind} of bools")
    return context.result(kind, x=context.cast(x, dtype), y=context.cast(y, dtype))


@lowers("aten.add.Tensor")
def add(context: Context, x: Operand, y: Operand, *, alpha: Operand = 1) -> Value:
    """`x + alpha * y`; of bools, whether one of them is set."""
    if context.expected.dtype is torch.bool:
        return _logic(context, "logical_or", x, y)
    return arithmetic(context, "add", x, _scaled(context, y, alpha))


@lowers("aten.sub.Tensor")
def sub(context: Context, x: Operand, y: Operand, *, alpha: Operand = 1) -> Value:
    """`x - alpha * y`."""
    return arithmetic(context, "sub", x, _scaled(context, y, alpha))


@lowers("aten.add.Scalar")
def add_number(context: Context, x: Operand, y: Operand, alpha: Operand = 1) -> Value:
    """`x + alpha * y`."""
    return add(context, x, y, alpha=alpha)


@lowers("aten.sub.Scalar")
def sub_number(context: Context, x: Operand, y: Operand, alpha: Operand = 1) -> Value:
    """`x - alpha * y`."""
    return sub(context, x, y, alpha=alpha)


@lowers("aten.rsub.Tensor", "aten.rsub.Scalar")
def rsub(context: Context, x: Operand, y: Operand, alpha: Operand = 1) -> Value:
    """`y - alpha * x`."""
    return arithmetic(context, "sub", y, _scaled(context, x, alpha))


def _scaled(context: Context, x: Operand, alpha: Operand) -> Operand:
    if alpha == 1:
        return x
    dtype = program_dtype(context.expected.dtype)
    return context.op("mul", x=context.cast(x, dtype), y=context.cast(alpha, dtype))


@lowers("aten.mul.Tensor", "aten.mul.Scalar")
def mul(context: Context, x: Operand, y: Operand) -> Value:
    """`x * y`; of bools, whether both are set."""
    if context.expected.dtype is torch.bool:
        return _logic(context, "logical_and", x, y)
    return arithmetic(context, "mul", x, y)


@lowers("aten.div.Tensor", "aten.div.Scalar", "aten.true_divide.Tensor")
def div(context: Context, x: Operand, y: Operand) -> Value:
    """`x / y` in floats; the division by a number is a multiplication if that is exact."""
    if isinstance(y, int | float) and not isinstance(y, bool) and y != 0 and _is_power_of_two(y):
        return arithmetic(context, "mul", x, 1.0 / y)
    return arithmetic(context, "real_div", x, y)


def _is_power_of_two(number: float) -> bool:
    mantissa, _, exponent = float(number).hex().partition("p")
    return mantissa.lstrip("-") in ("0x1.0000000000000", "0x1.0") and -100 < int(exponent) < 100


@lowers("aten.div.Tensor_mode", "aten.div.Scalar_mode")
def div_mode(context: Context, x: Operand, y: Operand, *, rounding_mode: str | None) -> Value:
    """`x / y`, rounded down or towards zero."""
    if rounding_mode is None:
        return div(context, x, y)
    if rounding_mode == "floor":
        return arithmetic(context, "floor_div", x, y)
    integers = program_dtype(context.expected.dtype) == bits.INT32
    quotient = context.op("real_div", x=context.floats(x), y=context.floats(y))
    if integers:
        return context.as_result(quotient)
    return truncated(context, quotient)


def truncated(context: Context, x: Value) -> Value:
    """Returns floats without their fractions."""
    magnitude = context.op("floor", x=context.op("abs", x=x))
    return context.result("mul", x=magnitude, y=context.op("sign", x=x))


@lowers("aten.floor_divide.default", "aten.floor_divide.Scalar")
def floor_divide(context: Context, x: Operand, y: Operand) -> Value:
    """`floor(x / y)`."""
    return arithmetic(context, "floor_div", x, y)


@lowers("aten.remainder.Tensor", "aten.remainder.Scalar", "aten.remainder.Scalar_Tensor")
def remainder(context: Context, x: Operand, y: Operand) -> Value:
    """`x - y * floor(x / y)`."""
    return arithmetic(context, "mod", x, y)


@lowers("aten.fmod.Tensor", "aten.fmod.Scalar")
def fmod(context: Context, x: Operand, y: Operand) -> Value:
    """The remainder with the sign of x."""
    dtype = program_dtype(context.expected.dtype)
    x, y = context.cast(x, dtype), context.cast(y, dtype)
    magnitude = context.op("mod", x=context.op("abs", x=x), y=context.op("abs", x=y))
    return context.result("mul", x=magnitude, y=context.op("sign", x=x))


@lowers("aten.pow.Tensor_Tensor", "aten.pow.Tensor_Scalar", "aten.pow.Scalar")
def pow_(context: Context, x: Operand, y: Operand) -> Value:
    """`x ** y`; small powers by ops of their own."""
    dtype = program_dtype(context.expected.dtype)
    if not isinstance(y, Value) and isinstance(x, Value):
        base = context.cast(x, dtype)
        if y == 2:
            return context.result("square", x=base)
        if y == 0.5:
            return context.result("sqrt", x=base)
        if y == -0.5:
            return context.result("rsqrt", x=base, epsilon=0.0)
        if y == -1:
            return context.result("real_div", x=context.cast(1, dtype), y=base)
        if y == 3:
            return context.result("mul", x=context.op("square", x=base), y=base)
    if dtype == bits.INT32:  # the power of integers is defined on floats in Core ML
        power = context.op("pow", x=context.floats(x), y=context.floats(y))
        return context.cast(context.op("round", x=power), dtype)
    return arithmetic(context, "pow", x, y)


@lowers("aten.maximum.default", "aten.fmax.default")
def maximum(context: Context, x: Operand, y: Operand) -> Value:
    """The larger of x and y."""
    if context.expected.dtype is torch.bool:
        return _logic(context, "logical_or", x, y)
    return arithmetic(context, "maximum", x, y)


@lowers("aten.minimum.default", "aten.fmin.default")
def minimum(context: Context, x: Operand, y: Operand) -> Value:
    """The smaller of x and y."""
    if context.expected.dtype is torch.bool:
        return _logic(context, "logical_and", x, y)
    return arithmetic(context, "minimum", x, y)


def _comparison(kind: str) -> Callable[..., Value]:
    def compare(context: Context, x: Operand, y: Operand) -> Value:
        dtypes = {context.dtype(x), context.dtype(y)}
        if dtypes == {bits.BOOL} and kind in ("equal", "not_equal"):
            differs = _logic(context, "logical_xor", x, y)
            return differs if kind == "not_equal" else context.result("logical_not", x=differs)
        common = bits.FLOAT32 if bits.FLOAT32 in dtypes else bits.INT32
        return context.result(kind, x=context.cast(x, common), y=context.cast(y, common))

    return compare


for _aten, _mil in _COMPARISONS.items():
    lowers(f"aten.{_aten}.Tensor", f"aten.{_aten}.Scalar")(_comparison(_mil))


def _logic(context: Context, kind: str, x: Operand, y: Operand) -> Value:
    return context.op(kind, x=context.cast(x, bits.BOOL), y=context.cast(y, bits.BOOL))


def _logical(kind: str) -> Callable[..., Value]:
    def logical(context: Context, x: Operand, y: Operand) -> Value:
        return _logic(context, kind, x, y)

    return logical


def _bitwise(kind: str) -> Callable[..., Value]:
    def bitwise(context: Context, x: Operand, y: Operand) -> Value:
        if {context.dtype(x), context.dtype(y)} != {bits.BOOL}:
            raise LoweringError("Core ML has bitwise operators for bools only, not for integers")
        return _logic(context, kind, x, y)

    return bitwise


for _aten, _mil in _LOGIC.items():
    lowers(f"aten.logical_{_aten}.default")(_logical(_mil))
    lowers(
        f"aten.bitwise_{_aten}.Tensor",
        f"aten.bitwise_{_aten}.Scalar",
        f"aten.__{_aten}__.Tensor",
        f"aten.__{_aten}__.Scalar",
    )(_bitwise(_mil))


@lowers("aten.atan2.default")
def atan2(context: Context, y: Value, x: Value) -> Value:
    """The angle of the point (x, y), from atan(y / x) moved into the right quadrant."""
    x, y = context.floats(x), context.floats(y)
    zero = context.constant(0.0)
    angle = context.op("atan", x=context.op("real_div", x=y, y=_nonzero(context, x)))
    behind = context.op("less", x=x, y=zero)
    above = context.op("greater_equal", x=y, y=zero)
    whole = context.op("mul", x=context.floats(above), y=2 * torch.pi)
    turn = context.op("sub", x=whole, y=torch.pi)
    turned = context.op("select", cond=behind, a=context.op("add", x=angle, y=turn), b=angle)
    level = context.op("mul", x=context.op("sign", x=y), y=torch.pi / 2)
    return context.result("select", cond=context.op("equal", x=x, y=zero), a=level, b=turned)


def _nonzero(context: Context, x: Value) -> Any:
    is_zero = context.op("equal", x=x, y=context.constant(0.0))
    return context.op("select", cond=is_zero, a=context.constant(1.0), b=x)
