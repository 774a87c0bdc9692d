"""Matrix products."""

from __future__ import annotations

from mlpress.converter.lowering.context import Context
from mlpress.converter.lowering.registry import lowers
from mlpress.mil import Value


@lowers("aten.linear.default")
def linear(context: Context, x: Value, weight: Value, bias: Value | None = None) -> Value:
    """X times the transposed weight, plus bias."""
    if _is_constant(context, weight) and (bias is None or _is_constant(context, bias)):
        if context.rank(x) == 1:
            y = context.op("linear", x=context.expand_dims(x, [0]), weight=weight, bias=bias)
            return context.squeeze(y, [0])
        return context.result("linear", x=x, weight=weight, bias=bias)
    if context.rank(x) == 1:
        x = context.expand_dims(x, [0])
        product = context.squeeze(context.op("matmul", x=x, y=weight, transpose_y=True), [0])
    else:
        product = context.op("matmul", x=x, y=weight, transpose_y=True)
    return product if bias is None else context.result("add", x=product, y=bias)


def _is_constant(context: Context, value: Value) -> bool:
    return context.builder.inference.constant(value) is not None


@lowers("aten.matmul.default", "aten.mm.default", "aten.bmm.default")
def matmul(context: Context, x: Value, y: Value) -> Value:
    """The product of (batches of) matrices; a vector is a row in front and a column behind."""
    ranks = context.rank(x), context.rank(y)
    if 1 not in ranks:
        return context.result("matmul", x=x, y=y)
    x = context.expand_dims(x, [0]) if ranks[0] == 1 else x
    y = context.expand_dims(y, [1]) if ranks[1] == 1 else y
    product = context.op("matmul", x=x, y=y)
    axes = ([-1] if ranks[1] == 1 else []) + ([-2] if ranks[0] == 1 else [])
    return context.squeeze(product, axes)


@lowers("aten.mv.default", "aten.dot.default")
def vector_product(context: Context, x: Value, y: Value) -> Value:
    """The product of a matrix or a vector with a vector."""
    return matmul(context, x, y)


@lowers("aten.addmm.default", "aten.baddbmm.default")
def addmm(context: Context, bias: Value, x: Value, y: Value, *, beta: float = 1, alpha: float = 1) -> Value:
    """`beta * bias + alpha * (x @ y)`."""
    product = context.op("matmul", x=x, y=y)
    if alpha != 1:
        product = context.op("mul", x=product, y=float(alpha))
    if beta != 1:
        bias = context.op("mul", x=bias, y=float(beta))
    return context.result("add", x=product, y=bias)
