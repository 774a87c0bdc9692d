"""Example calls given to coremltools: the types and values that it infers for them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import coremltools as ct
import numpy as np
from coremltools.converters.mil.mil import Builder, Function, types
from coremltools.converters.mil.mil.operation import Operation
from coremltools.converters.mil.mil.ops.registry import SSAOpRegistry

from mlpress.mil import Opset
from mlpress.ops import Parameter
from tests.torch.ops.example import Example

TARGETS = {
    Opset.CoreML5: ct.target.iOS15,
    Opset.CoreML6: ct.target.iOS16,
    Opset.CoreML7: ct.target.iOS17,
    Opset.CoreML8: ct.target.iOS18,
}


def operation_class(name: str, opset: Opset) -> type[Operation]:
    found: type[Operation] = SSAOpRegistry.core_ops[name][TARGETS[opset]]
    return found


def infers_values(example: Example) -> bool:
    """Whether the peer computes this op when all operands are constants."""
    operation = operation_class(example.op, example.opset)
    materializes = hasattr(operation, "materialized_val_inference")
    return materializes or operation.value_inference is not Operation.value_inference


@cache
def infer(example: Example) -> tuple[Any, ...]:
    """Returns the peer's variables for the results of an example, whose operands are constants."""
    with Function({}, opset_version=TARGETS[example.opset]):
        made = getattr(Builder, example.op)(**_operands(example))
    return tuple(made) if isinstance(made, tuple | list) else (made,)


def value(variable: Any) -> np.ndarray[Any, Any] | None:
    """Returns the value that the peer inferred, None if it did not."""
    inferred = variable.val
    if inferred is None and hasattr(variable.op, "materialized_val_inference"):
        inferred = variable.op.materialized_val_inference()
    return None if inferred is None else np.asarray(inferred)


def element_type(variable: Any) -> str:
    """Returns the element type of a variable as MIL writes it."""
    written: str = types.builtin_to_string(variable.dtype)
    return written


def agree(pair: tuple[np.ndarray, np.ndarray | None]) -> bool:
    """Whether a value of ours is that of the peer, which computes in float16 where the operands are."""
    ours, theirs = pair
    if theirs is None or ours.shape != theirs.shape:
        return False
    if theirs.dtype.kind != "f":
        return bool(np.array_equal(ours, theirs))
    bound = 5e-3 if theirs.dtype == np.float16 else 1e-5
    return bool(np.allclose(ours, theirs.astype(np.float32), rtol=bound, atol=bound, equal_nan=True))


def _operands(example: Example) -> dict[str, Any]:
    parameters = example.version.signature.parameters
    bound = _bound(example, parameters)
    return {
        name: tuple(_constant(parameters[name], item, bound) for item in given)
        if parameters[name].structure == "tensors"
        else _constant(parameters[name], given, bound)
        for name, given in example.arguments.items()
    }


def _bound(example: Example, parameters: Mapping[str, Parameter]) -> dict[str, np.dtype[Any]]:
    """Returns the element types that operands give to type variables."""
    return {
        parameters[name].variable or "": given.dtype
        for name, given in example.arguments.items()
        if isinstance(given, np.ndarray | np.generic)
    }


def _constant(parameter: Parameter, given: Any, bound: Mapping[str, np.dtype[Any]]) -> Any:
    if isinstance(given, np.ndarray | np.generic):
        return given.copy()  # the value inference of some of the peer's ops changes its operands
    array = np.asarray(given)
    if array.dtype.kind not in "if":
        return given if isinstance(given, str | bool) else array
    fallback = "float32" if array.dtype.kind == "f" else "int32"
    allowed = parameter.dtypes or (fallback,)
    dtype = bound.get(parameter.variable or "") or (fallback if fallback in allowed else allowed[0])
    converted = array.astype(dtype)
    return converted if converted.ndim else converted[()]
