"""Programs for older systems made into programs for newer ones: the same operators, of a later opset."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np

from mlpress.bits import Tensor
from mlpress.encoding import Dense
from mlpress.errors import LegalityError
from mlpress.mil.opset import Opset
from mlpress.mil.program import Block, Constant, Function, Literal, Operand, Operation, Program, Value
from mlpress.mil.types import StringType, TensorType

_NO_CHECK: Final = {"validate_indices": False}
_INT32: Final = {"output_dtype": "int32"}
_ADDED: Final[Mapping[Opset, Mapping[str, Mapping[str, Any]]]] = {
    Opset.CoreML6: {
        "crop_resize": {"pad_value": 0.0},
        "gather": {"batch_dims": 0},
        "gather_nd": {"batch_dims": 0},
        "topk": {"return_indices": True, "sort": True},
    },
    Opset.CoreML7: {
        **dict.fromkeys(("gather", "gather_along_axis", "gather_nd"), _NO_CHECK),
        **dict.fromkeys(("scatter", "scatter_along_axis", "scatter_nd"), _NO_CHECK),
        **dict.fromkeys(("reduce_argmax", "reduce_argmin"), _INT32),
        "topk": {"output_indices_dtype": "int32"},
    },
    Opset.CoreML8: {"gru": {"reset_after": False}},
}
"""Parameters that came with an opset, and the values with which operators do what they did before."""

_CHANGED: Final[Mapping[Opset, tuple[str, ...]]] = {
    Opset.CoreML7: ("crop_resize", "non_maximum_suppression"),
}
"""Operators that are others in an opset under the same name."""


def raised(program: Program, opset: Opset) -> Program:
    """Returns a program whose functions are all of `opset` or a later one; it computes the same.

    Functions that are already are shared, and so are the values of the others.

    Raises:
        LegalityError: A function has an operator that means something else in `opset`.
    """
    functions = {
        name: function if function.opset >= opset else _raise(name, function, opset)
        for name, function in program.functions.items()
    }
    return replace(program, functions=functions)


def _raise(name: str, function: Function, opset: Opset) -> Function:
    between = [step for step in Opset if function.opset < step <= opset]
    taken = {value.name for value in function.inputs}
    taken.update(value.name for node in function.block.walk() for value in node.outputs)
    for node in function.block.walk():
        if changed := [step for step in between if _type(node) in _CHANGED.get(step, ())]:
            raise LegalityError(
                f"function {name!r} targets {function.opset.target}; its {_type(node)} {node.name!r} "
                f"would be another operator for {changed[0].target} and later"
            )
    return replace(function, opset=opset, block=_raise_block(function.block, between, taken))


def _type(node: Operation | Constant) -> str:
    return node.type if isinstance(node, Operation) else "const"


def _raise_block(block: Block, between: list[Opset], taken: set[str]) -> Block:
    operations: list[Operation | Constant] = []
    for node in block.operations:
        if isinstance(node, Constant):
            operations.append(node)
            continue
        inputs: dict[str, Operand | tuple[Operand, ...]] = dict(node.inputs)
        for step in between:
            for parameter, value in _ADDED.get(step, {}).get(node.type, {}).items():
                if parameter not in inputs:
                    constant = _constant(f"{node.name}_{parameter}_0", value, node, taken)
                    operations.append(constant)
                    inputs[parameter] = constant.output
        blocks = [_raise_block(nested, between, taken) for nested in node.blocks]
        operations.append(replace(node, inputs=inputs, blocks=blocks))
    return replace(block, operations=operations)


def _constant(name: str, value: Any, operation: Operation, taken: set[str]) -> Constant:
    number, free = 0, name
    while free in taken:
        number += 1
        free = f"{name}_{number}"
    taken.add(free)
    if isinstance(value, str):
        kind = StringType()
        return Constant(free, Value(free, kind), Literal(kind, value))
    dtype: Any = {bool: np.bool_, int: np.int32}.get(type(value))
    if dtype is None:  # a float is of the type that the operator computes in
        found = operation.inputs["x"]
        assert not isinstance(found, tuple)
        assert isinstance(found.type, TensorType)
        dtype = found.type.dtype.name
    data = Dense(Tensor.from_numpy(np.array(value, dtype)))
    return Constant(free, Value(free, TensorType(data.dtype, data.shape)), data)
