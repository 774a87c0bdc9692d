"""Recognises activations that a model writes out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from mlpress.converter.passes.editor import Editor
from mlpress.mil import Operation, Value


@dataclass(frozen=True, slots=True)
class _Product:
    """``number * factors[0] * factors[1] * ...``."""

    number: float
    factors: tuple[Value, ...]


def recognise_activations(editor: Editor) -> None:
    """Turns products that are GELU or SiLU into one op each."""
    for operation in editor.operations("mul", "real_div"):
        product = _product(editor, operation.outputs[0])
        if len(product.factors) != 2:
            continue
        for x, gate in (product.factors, product.factors[::-1]):
            found = _silu(editor, product.number, x, gate) or _gelu(editor, product.number, x, gate)
            if found is not None:
                kind, operands = found
                editor.insert(operation, kind, operation.outputs[0], x=x, **operands)
                break


def _silu(editor: Editor, number: float, x: Value, gate: Value) -> tuple[str, dict[str, str]] | None:
    sigmoid = editor.maker(gate, "sigmoid")
    if sigmoid is None or number != 1:
        return None
    inner = _product(editor, _operand(sigmoid, "x"))
    if inner.factors == (x,) and inner.number == 1:
        return "silu", {}
    if inner.factors == (x,) and math.isclose(inner.number, 1.702, rel_tol=1e-4):
        return "gelu", {"mode": "SIGMOID_APPROXIMATION"}
    return None


def _gelu(editor: Editor, number: float, x: Value, gate: Value) -> tuple[str, dict[str, str]] | None:
    """0.5 x (1 + erf(x / sqrt 2)), or the same with tanh(sqrt(2 / pi) (x + 0.044715 x³))."""
    found = _plus_number(editor, gate)
    if found is None or not (math.isclose(number * found[1], 0.5, rel_tol=1e-4)):
        return None
    inside, one = found
    curve = _product(editor, inside)
    if len(curve.factors) != 1 or not math.isclose(curve.number, one, rel_tol=1e-4):
        return None
    operation = editor.maker(curve.factors[0], "erf", "tanh")
    if operation is None:
        return None
    argument = _product(editor, _operand(operation, "x"))
    if operation.type == "erf":
        fits = argument.factors == (x,) and math.isclose(argument.number, math.sqrt(0.5), rel_tol=1e-4)
        return ("gelu", {"mode": "EXACT"}) if fits else None
    return ("gelu", {"mode": "TANH_APPROXIMATION"}) if _is_tanh_argument(editor, argument, x) else None


def _is_tanh_argument(editor: Editor, argument: _Product, x: Value) -> bool:
    """Whether a product is sqrt(2 / pi) (x + 0.044715 x³), however the cube is written."""
    if len(argument.factors) == 2:  # sqrt(2 / pi) x (1 + 0.044715 x²)
        other = argument.factors[1] if argument.factors[0] is x else argument.factors[0]
        found = _plus_number(editor, other)
        if x not in argument.factors or found is None or found[1] == 0:
            return False
        square = _product(editor, found[0])
        scale = argument.number * found[1]
        return (
            _close(scale, math.sqrt(2 / math.pi))
            and _power(editor, square, x) == 2
            and _close(square.number / found[1], 0.044715)
        )
    if len(argument.factors) != 1 or not _close(argument.number, math.sqrt(2 / math.pi)):
        return False
    total = editor.maker(argument.factors[0], "add")
    if total is None:
        return False
    for name, rest in (("x", "y"), ("y", "x")):
        cube = _product(editor, _operand(total, rest))
        if total.inputs[name] is x and _power(editor, cube, x) == 3 and _close(cube.number, 0.044715):
            return True
    return False


def _power(editor: Editor, product: _Product, x: Value) -> int:
    """Returns n where a product is x^n times a number; 0 if it is none."""
    total = 0
    for factor in product.factors:
        if factor is x:
            total += 1
            continue
        operation = editor.maker(factor, "square", "pow")
        if operation is None or operation.inputs["x"] is not x:
            return 0
        exponent = 2.0 if operation.type == "square" else editor.number(operation.inputs["y"])
        if exponent not in (2.0, 3.0):
            return 0
        total += int(exponent)
    return total


def _plus_number(editor: Editor, value: Value) -> tuple[Value, float] | None:
    operation = editor.maker(value, "add")
    if operation is None:
        return None
    for one, other in (("x", "y"), ("y", "x")):
        number = editor.number(operation.inputs[other])
        if number is not None:
            return _operand(operation, one), number
    return None


def _product(editor: Editor, value: Value) -> _Product:
    """Takes a product apart, through products that nothing else uses."""
    operation = editor.maker(value, "mul", "real_div")
    if operation is None:
        return _Product(1.0, (value,))
    numbers = [editor.number(operation.inputs[name]) for name in ("x", "y")]
    if operation.type == "real_div":
        if numbers[1] is None or numbers[1] == 0:
            return _Product(1.0, (value,))
        inner = _inner(editor, operation.inputs["x"])
        return _Product(inner.number / numbers[1], inner.factors)
    total = 1.0
    factors: list[Value] = []
    for name, number in zip(("x", "y"), numbers, strict=True):
        if number is not None:
            total *= number
            continue
        inner = _inner(editor, operation.inputs[name])
        total *= inner.number
        factors += inner.factors
    return _Product(total, tuple(factors))


def _inner(editor: Editor, value: Any) -> _Product:
    return _product(editor, value) if editor.used_once(value) else _Product(1.0, (value,))


def _operand(operation: Operation, parameter: str) -> Value:
    operand = operation.inputs[parameter]
    assert isinstance(operand, Value)
    return operand


def _close(number: float, wanted: float) -> bool:
    return math.isclose(number, wanted, rel_tol=1e-4)
