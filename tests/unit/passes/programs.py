"""Small programs for the tests of passes, made without any other library."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mlpress.bits import BOOL, FLOAT16, INT32, Tensor
from mlpress.encoding import Dense
from mlpress.mil import (
    Block,
    Constant,
    Function,
    Operation,
    Opset,
    Program,
    TensorType,
    Value,
    literal,
)
from mlpress.passes import Report, Row


def random(shape: tuple[int, ...] = (32, 48), seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float16)


def constant(name: str, values: np.ndarray) -> Constant:
    tensor = Tensor.from_numpy(np.ascontiguousarray(values))
    return Constant(name, Value(name, TensorType(tensor.dtype, tensor.shape)), Dense(tensor))


def use(kind: str, name: str, parameter: str, value: Value, **attributes: object) -> Operation:
    """An operator that uses `value`; of its output only the name matters."""
    inputs = {parameter: value}
    for key, bound in attributes.items():
        inputs[key] = (
            bound
            if isinstance(bound, Value)
            else literal(Tensor.from_numpy(np.array(bound), BOOL))
            if isinstance(bound, bool)
            else literal(Tensor.from_numpy(np.array(bound, np.int32), INT32))
        )
    return Operation(kind, name, inputs, [Value(f"{name}_out", TensorType(FLOAT16, (1,)))])


def function(*nodes: Operation | Constant, opset: Opset = Opset.CoreML8) -> Function:
    last = nodes[-1].outputs
    return Function([], opset, Block([], list(nodes), list(last)))


def program(*nodes: Operation | Constant, opset: Opset = Opset.CoreML8) -> Program:
    return Program({"main": function(*nodes, opset=opset)})


def linears(weights: Mapping[str, np.ndarray], *, opset: Opset = Opset.CoreML8) -> Program:
    """A program with a ``linear`` operator ``NAME_op`` for each weight ``NAME``."""
    nodes: list[Operation | Constant] = []
    for name, values in weights.items():
        weight = constant(name, values)
        nodes += [weight, use("linear", f"{name}_op", "weight", weight.output)]
    return program(*nodes, opset=opset)


def encodings(of: Program, name: str = "main") -> dict[str, object]:
    """The encoding of each constant of a function by name."""
    return {node.name: node.data for node in of.functions[name].block.constants()}


def row(report: Report, name: str) -> Row:
    (found,) = (row for row in report if row.name == name)
    return found
