"""From the operands of an operation to the arguments of its op's function."""

from __future__ import annotations

from typing import Any, Final, Protocol

import torch
from torch import Tensor, fx

from mlpress.errors import InvalidProgramError
from mlpress.mil import Operand, Operation, TensorType
from mlpress.ops import Kind, Version
from mlpress.runtime.constants import carrier

_FLOAT_NAMES: Final = {"fp16": "fp32"}
"""Element types that programs ask for, to those that runs use: all floats are held in float32."""

_DTYPE_PARAMETERS: Final = ("dtype", "output_dtype", "output_indices_dtype")


class Operands(Protocol):
    """Turns operands into nodes and plain values."""

    def anchor(self) -> fx.Node: ...

    def node(self, operand: Operand) -> fx.Node: ...

    def plain(self, operand: Operand) -> Any: ...


def host_value(x: Tensor) -> Any:
    """Returns a tensor that a program computes as the plain value, or list of them, that an op asks for."""
    return x.tolist()


def arguments(operation: Operation, version: Version, operands: Operands) -> dict[str, Any]:
    """Returns keyword arguments for `version.function`: nodes for tensors, plain values for the rest."""
    given: dict[str, Any] = {}
    for name, bound in operation.inputs.items():
        kind = version.kinds[name]
        several = bound if isinstance(bound, tuple) else (bound,)
        if kind is Kind.TENSORS:
            given[name] = tuple(operands.node(operand) for operand in several)
        elif kind is Kind.TENSOR:
            given[name] = operands.node(_single(bound, operation, name))
        elif isinstance(bound, tuple):
            given[name] = [operands.plain(operand) for operand in bound]
        else:
            value = operands.plain(bound)
            given[name] = _FLOAT_NAMES.get(value, value) if name in _DTYPE_PARAMETERS else _as(kind, value)
    return given | _context(operation, version, operands)


def _as(kind: Kind, value: Any) -> Any:
    # A vector of one element and a scalar look alike in some programs.
    if kind is Kind.VALUES and not isinstance(value, list | fx.Node):
        return [value]
    if kind is Kind.VALUE and isinstance(value, list) and len(value) == 1:
        return value[0]
    return value


def _single(bound: Operand | tuple[Operand, ...], operation: Operation, name: str) -> Operand:
    if not isinstance(bound, tuple):
        return bound
    raise InvalidProgramError(
        f"{operation.type} {operation.name!r}: parameter {name!r} has {len(bound)} operands; it takes one"
    )


def _context(operation: Operation, version: Version, operands: Operands) -> dict[str, Any]:
    context: dict[str, Any] = {}
    if "anchor" in version.context:
        context["anchor"] = operands.anchor()
    if "result_dtype" in version.context:
        kind = operation.outputs[0].type
        context["result_dtype"] = carrier(kind.dtype) if isinstance(kind, TensorType) else torch.float32
    return context
