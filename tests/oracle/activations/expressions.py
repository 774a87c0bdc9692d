"""Programs as expressions, so that two are compared whatever their names and however they share values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mlpress.bits import Tensor
from mlpress.encoding import decode
from mlpress.mil import Constant, Literal, Operation, Program, Value

Parameter = Callable[[str, Any], Any]


def expressions(program: Program, parameter: Parameter | None = None) -> tuple[Any, ...]:
    """Returns the outputs of ``main`` as nested tuples of operators.

    Args:
        program: Without control flow.
        parameter: Called with ``scale`` or ``zero_point`` and the number (0 where there is none); what it
            returns stands for it.
    """
    function = program.functions["main"]
    known: dict[Value, Any] = {value: ("input", value.name) for value in function.inputs}
    for node in function.block.operations:
        if isinstance(node, Constant):
            known[node.output] = _constant(node)
            continue
        operands = [(name, _operand(operand, known)) for name, operand in sorted(node.operands(), key=_name)]
        if node.type in ("quantize", "dequantize") and parameter is not None:
            operands = _parameters(dict(operands), parameter)
        for index, value in enumerate(node.outputs):
            known[value] = _Shared((node.type, index, str(value.type), tuple(operands)))
    return tuple(known[value] for value in function.block.outputs)


class _Shared:
    """A tuple that is hashed once, so that expressions that share a lot stay cheap."""

    _made: dict[Any, int] = {}  # noqa: RUF012

    def __init__(self, parts: Any) -> None:
        self.parts = parts
        self.number = self._made.setdefault(parts, len(self._made))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Shared) and self.number == other.number

    def __hash__(self) -> int:
        return self.number

    def __repr__(self) -> str:
        kind, _, _, operands = self.parts
        return f"{kind}({', '.join(f'{name}={value!r}' for name, value in operands)})"


def _operand(operand: Value | Literal, known: dict[Value, Any]) -> Any:
    return known[operand] if isinstance(operand, Value) else _literal(operand)


def _constant(node: Constant) -> Any:
    return _literal(node.data) if isinstance(node.data, Literal) else _array(decode(node.data))


def _literal(literal: Literal) -> Any:
    return _array(literal.value.numpy()) if isinstance(literal.value, Tensor) else literal.value


def _array(values: Any) -> Any:
    return values.item() if not values.shape else (values.shape, values.tobytes())


def _parameters(operands: dict[str, Any], parameter: Parameter) -> list[Any]:
    for name in ("scale", "zero_point"):
        operands[name] = parameter(name, operands.get(name, 0))
    return sorted(operands.items())


def scales(program: Program) -> list[float]:
    """Returns the scales of all ``quantize`` operators, sorted."""
    block = program.functions["main"].block
    constants = {node.output: node for node in block.constants()}
    found = [
        node.inputs["scale"]
        for node in block.operations
        if isinstance(node, Operation) and node.type == "quantize"
    ]
    return sorted(float(_constant(constants[scale])) for scale in found if isinstance(scale, Value))


def _name(operand: tuple[str, Any]) -> str:
    return operand[0]
