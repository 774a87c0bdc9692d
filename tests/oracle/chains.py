"""What both libraries wrote, in a form that can be compared: the chain of constexpr operators of each weight.

A chain is text that follows the flow of data back from the operator that uses a weight. It says the type of
each operator, and dtype and shape of each input, and leaves out names and values. Whether a mask comes from
its blob or from the mask output of the operator before makes no difference: both are ``uint1`` of the same
shape. How many values a mask keeps depends on the values, and reads ``[kept]``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from mlpress.encoding import decode
from mlpress.models import MLModel
from mlpress.passes import weights

Key = tuple[str, str]
"""Name of the operator that uses a weight, and the parameter that it is bound to."""

_KEPT = re.compile(r"\[\d+\]$")
_DTYPES = {
    1: "bool",
    10: "fp16",
    11: "fp32",
    21: "int8",
    22: "int16",
    23: "int32",
    25: "int4",
    31: "uint8",
    33: "uint32",
    35: "uint4",
    36: "uint2",
    37: "uint1",
    38: "uint6",
    39: "uint3",
}


def chains(spec: Any) -> dict[Key, str]:
    """The chain of each compressed weight of the main function of a specification of either library."""
    function = spec.mlProgram.functions["main"]
    (block,) = function.block_specializations.values()
    makers = {output.name: operation for operation in block.operations for output in operation.outputs}
    found: dict[Key, str] = {}
    for operation in block.operations:
        if _is_constant(operation):
            continue
        name = operation.attributes["name"].immediateValue.tensor.strings.values[0]
        for parameter, bound in operation.inputs.items():
            for argument in bound.arguments:
                maker = makers.get(argument.name)
                if maker is not None and maker.type.startswith("constexpr_"):
                    found[name, parameter] = _chain(argument, makers)
    return found


def _is_constant(operation: Any) -> bool:
    return operation.type == "const" or operation.type.startswith("constexpr_")


def _chain(argument: Any, makers: Mapping[str, Any]) -> str:
    if argument.WhichOneof("binding") == "value":
        return _type(argument.value.type)
    maker = makers[argument.name]
    (output,) = (output for output in maker.outputs if output.name == argument.name)
    if maker.type == "const" or (len(maker.outputs) == 2 and output is maker.outputs[0]):
        return _type(output.type)
    parts = {
        parameter: _chain(argument, makers)
        for parameter, bound in maker.inputs.items()
        for argument in bound.arguments
    }
    parts |= {key: _type(value.type) for key, value in maker.attributes.items() if key != "name"}
    for key in parts:
        if key.endswith("nonzero_data") and parts[key].endswith("]"):
            parts[key] = _KEPT.sub("[kept]", parts[key])
    operands = ", ".join(f"{key}={parts[key]}" for key in sorted(parts))
    return f"{maker.type.removeprefix('constexpr_')}({operands}) -> {_type(output.type)}"


def _type(value_type: Any) -> str:
    tensor = value_type.tensorType
    sizes = ",".join(str(dimension.constant.size) for dimension in tensor.dimensions)
    return f"{_DTYPES[tensor.dataType]}[{sizes}]"


def decoded_here(model: Any) -> dict[Key, np.ndarray]:
    """The dense values of each weight of a model or package, as mlpress decodes them."""
    found: dict[Key, np.ndarray] = {}
    for weight in weights(MLModel(model).program):
        values = decode(weight.encoding)
        for use in weight.users:
            if use.operation is not None:
                found[use.operation.name, use.parameter] = values
    return found


def decoded_there(model: Any) -> dict[Key, np.ndarray]:
    """The dense values of each weight of a model of coremltools in memory, as coremltools decodes them."""
    found: dict[Key, np.ndarray] = {}
    values: dict[Any, np.ndarray] = {}
    for operation in model._mil_program.functions["main"].operations:
        if _is_constant_there(operation):
            continue
        for parameter, variable in operation.inputs.items():
            constant = getattr(variable, "op", None)
            if constant is None or not _is_constant_there(constant):
                continue
            if constant not in values:
                dense = variable.val if constant.op_type == "const" else constant.materialized_val_inference()
                values[constant] = np.asarray(dense)
            if values[constant].size >= 10 and values[constant].dtype.kind == "f":
                found[operation.name, parameter] = values[constant]
    return found


def _is_constant_there(operation: Any) -> bool:
    return operation.op_type == "const" or operation.op_type.startswith("constexpr_")
