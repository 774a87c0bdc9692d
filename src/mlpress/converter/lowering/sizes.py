"""Sizes that are known only in a run: from torch's symbolic expressions to values of a program."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any, Final

import sympy
import torch
from torch.utils._sympy import functions

from mlpress.converter.lowering.errors import LoweringError
from mlpress.mil import TensorType, Value
from mlpress.ops.builder import Builder

Size = int | torch.SymInt
Number = int | float | torch.SymInt | torch.SymFloat

_OPERATORS: Final[dict[type, str]] = {
    sympy.Add: "add",
    sympy.Mul: "mul",
    sympy.Max: "maximum",
    sympy.Min: "minimum",
    functions.Max: "maximum",
    functions.Min: "minimum",
    functions.FloorDiv: "floor_div",
    functions.CleanDiv: "floor_div",
    functions.Mod: "mod",
    functions.PythonMod: "mod",
}

_OF_FLOATS: Final[dict[type, str]] = {
    functions.IntTrueDiv: "real_div",
    functions.FloatTrueDiv: "real_div",
    functions.FloatPow: "pow",
}

_TO_INTEGERS: Final[dict[type, str | None]] = {
    functions.TruncToInt: None,  # as casts do
    functions.FloorToInt: "floor",
    functions.CeilToInt: "ceil",
    functions.RoundToInt: "round",
}

_UNARY: Final = {
    getattr(functions, f"OpaqueUnaryFn_{name}"): name
    for name in ("acos", "asin", "atan", "cos", "cosh", "exp", "log", "sin", "sinh", "sqrt", "tan", "tanh")
}


class Sizes:
    """Makes values for symbolic sizes, and for numbers computed from them, each expression once.

    A value is a vector of one element, int32, which is what most ops take sizes in, or float32.
    """

    def __init__(self, builder: Builder) -> None:
        self._builder = builder
        self._sources: dict[sympy.Symbol, tuple[Value, int]] = {}
        self._vectors: dict[sympy.Expr, Value] = {}
        self._shapes: dict[Value, Value] = {}

    def nested(self, builder: Builder) -> Sizes:
        """Returns sizes for a block inside, which may use what has been made here so far."""
        made = Sizes(builder)
        made._sources, made._vectors = dict(self._sources), dict(self._vectors)
        made._shapes = dict(self._shapes)
        return made

    def learn(self, value: Value, shape: Sequence[Size]) -> None:
        """Remembers where sizes can be read: `value` has `shape`."""
        for axis, size in enumerate(shape):
            if isinstance(size, torch.SymInt):
                symbol = size.node.expr
                if isinstance(symbol, sympy.Symbol):
                    self._sources.setdefault(symbol, (value, axis))

    def learn_number(self, number: torch.SymInt | torch.SymFloat, vector: Value) -> None:
        """Remembers that `vector`, of one element, holds `number`."""
        self._vectors.setdefault(number.node.expr, vector)

    def vector(self, sizes: Sequence[Size]) -> Value | list[int]:
        """Returns `sizes` as a list if all are known, else as an int32 vector."""
        plain = [known(size) for size in sizes]
        if None not in plain:
            return [size for size in plain if size is not None]
        parts: list[Any] = []
        for size, number in zip(sizes, plain, strict=True):
            if number is None:
                parts.append(self._vector(size.node.expr))  # type: ignore[union-attr]  # no int: see above
            elif parts and isinstance(parts[-1], list):
                parts[-1].append(number)
            else:
                parts.append([number])
        if len(parts) == 1:
            vector: Value = parts[0]
            return vector
        joined: Value = self._builder.op("concat", "shape", values=parts, axis=0)
        return joined

    def scalar(self, number: Number) -> Value | int | float:
        """Returns a number as it is if it is known, else as an int32 or float32 value of rank 0."""
        if not isinstance(number, torch.SymInt | torch.SymFloat):
            return number
        expression = number.node.expr
        if expression.is_number:
            return int(expression) if isinstance(number, torch.SymInt) else float(expression)
        scalar: Value = self._builder.op("squeeze", "size", x=self._vector(expression), axes=[0])
        return scalar

    def _vector(self, expression: sympy.Expr) -> Value:
        if expression not in self._vectors:
            self._vectors[expression] = self._made(expression)
        return self._vectors[expression]

    def _made(self, expression: sympy.Expr) -> Value:
        kind = type(expression)
        if isinstance(expression, sympy.Symbol):
            return self._read(expression)
        if isinstance(expression, sympy.Number):
            whole = isinstance(expression, sympy.Integer)
            return self._builder.constant([int(expression) if whole else float(expression)], "size")
        if isinstance(expression, sympy.Mul):
            return self._product(expression)
        if isinstance(expression, sympy.Pow | functions.PowByNatural) and expression.args[1].is_Integer:
            base, count = expression.args
            if count > 0:
                return self._folded("mul", [self._vector(base)] * int(count))
        if kind is functions.ToFloat:
            return self._float(expression.args[0])
        if kind in _OF_FLOATS:
            return self._folded(_OF_FLOATS[kind], [self._float(argument) for argument in expression.args])
        if kind in _UNARY:
            return self._op(_UNARY[kind], self._float(expression.args[0]))
        if kind in _TO_INTEGERS:
            rounding, value = _TO_INTEGERS[kind], self._float(expression.args[0])
            return self._op("cast", value if rounding is None else self._op(rounding, value), dtype="int32")
        if kind not in _OPERATORS:
            raise LoweringError(f"a size of the model is {expression}, which has no counterpart in Core ML")
        return self._folded(_OPERATORS[kind], [self._vector(argument) for argument in expression.args])

    def _float(self, expression: sympy.Expr) -> Value:
        return self._as_float(self._vector(expression))

    def _as_float(self, value: Value) -> Value:
        return value if _is_float(value) else self._op("cast", value, dtype="fp32")

    def _op(self, kind: str, x: Value, **operands: Any) -> Value:
        result: Value = self._builder.op(kind, "size", x=x, **operands)
        return result

    def _product(self, expression: sympy.Mul) -> Value:
        factor, rest = expression.as_coeff_Mul()
        if factor == -1:
            return self._folded("sub", [self._builder.constant([0], "size"), self._vector(rest)])
        if isinstance(factor, sympy.Rational) and factor.q != 1:  # the sizes are such that no rest remains
            return self._folded(
                "floor_div", [self._vector(rest * factor.p), self._vector(sympy.Integer(factor.q))]
            )
        return self._folded("mul", [self._vector(argument) for argument in expression.args])

    def _folded(self, kind: str, values: Sequence[Value]) -> Value:
        if any(map(_is_float, values)):
            values = [self._as_float(value) for value in values]
        return reduce(lambda x, y: self._op(kind, x, y=y), values)

    def _read(self, symbol: sympy.Symbol) -> Value:
        if symbol not in self._sources:
            raise LoweringError(f"no tensor of the model has the size {symbol}")
        value, axis = self._sources[symbol]
        assert isinstance(value.type, TensorType)
        if value not in self._shapes:
            self._shapes[value] = self._builder.op("shape", f"{value.name}_shape", x=value)
        shape = self._shapes[value]
        if len(value.type.shape) == 1:
            return shape
        size: Value = self._builder.op("gather", f"{value.name}_size", x=shape, indices=[axis], axis=0)
        return size


def known(size: Size) -> int | None:
    """Returns `size` as a number; None if it is open."""
    if not isinstance(size, torch.SymInt):
        return int(size)
    expression = size.node.expr
    return int(expression) if expression.is_Integer else None


def _is_float(value: Value) -> bool:
    return isinstance(value.type, TensorType) and value.type.dtype.is_float
