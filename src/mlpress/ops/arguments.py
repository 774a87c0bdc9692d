"""From the operands of an operation to the arguments of its op's function, whoever calls it."""

from __future__ import annotations

from typing import Any, Final, Protocol

import torch

from mlpress import bits
from mlpress.encoding import Encoding, decode
from mlpress.errors import InvalidProgramError
from mlpress.mil import Literal, Operand, Operation
from mlpress.ops.op import Kind, Version

_ELEMENT_TYPE_PARAMETERS: Final = ("dtype", "output_dtype", "output_indices_dtype")


class Evaluation(Protocol):
    """Who calls ops: on nodes of a graph, on values, on fake tensors. T is what stands for a tensor there."""

    def anchor(self) -> Any:
        """Returns an empty T on the device in use."""

    def tensor(self, operand: Operand) -> Any:
        """Returns the T (for a list, the several T) of `operand`."""

    def plain(self, operand: Operand) -> Any:
        """Returns `operand` as a plain value, or as what will be one."""

    def dtype(self, operand: Operand | None) -> torch.dtype:
        """Returns what the elements of `operand` are held in, a float32 if there is no operand."""

    def element_type(self, name: str) -> str:
        """Returns the element type to make where a program asks for `name`, both as MIL writes them."""


def arguments(operation: Operation, version: Version, evaluation: Evaluation) -> dict[str, Any]:
    """Returns keyword arguments for ``version.function``.

    Raises:
        InvalidProgramError: Several operands are bound where the op takes one.
    """
    given: dict[str, Any] = {}
    for name, bound in operation.inputs.items():
        kind = version.kinds[name]
        if kind is Kind.TENSORS:
            several = bound if isinstance(bound, tuple) else (bound,)
            given[name] = tuple(evaluation.tensor(operand) for operand in several)
        elif kind is Kind.TENSOR:
            given[name] = evaluation.tensor(single(operation, name))
        elif isinstance(bound, tuple):
            given[name] = [evaluation.plain(operand) for operand in bound]
        else:
            value = _shaped(kind, evaluation.plain(bound))
            given[name] = evaluation.element_type(value) if name in _ELEMENT_TYPE_PARAMETERS else value
    if "anchor" in version.context:
        given["anchor"] = evaluation.anchor()
    if "result_dtype" in version.context:
        followed = version.dtype_of in operation.inputs
        given["result_dtype"] = evaluation.dtype(
            single(operation, version.dtype_of or "") if followed else None
        )
    return given


def single(operation: Operation, parameter: str) -> Operand:
    """Returns the one operand bound to `parameter`.

    Raises:
        InvalidProgramError: There is none, or there are several.
    """
    bound = operation.inputs.get(parameter)
    if bound is None or isinstance(bound, tuple):
        raise InvalidProgramError(f"{operation.type} {operation.name!r} takes one operand {parameter!r}")
    return bound


def python_value(data: Encoding | Literal) -> Any:
    """Returns a constant as a plain value: a number, bool or string, or (nested) lists of them."""
    if not isinstance(data, Literal):
        return decode(data).tolist()
    value = data.value
    if isinstance(value, bits.Tensor):
        return value.numpy().tolist()
    if isinstance(value, tuple):
        return [python_value(item) if isinstance(item, Literal) else item for item in value]
    return value


def _shaped(kind: Kind, value: Any) -> Any:
    # A vector of one element and a scalar look alike in some programs.
    if kind is Kind.VALUES and isinstance(value, int | float | str):
        return [value]
    if kind is Kind.VALUE and isinstance(value, list) and len(value) == 1:
        return value[0]
    return value
