"""Small programs of float16 whose activations are to be quantized."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlpress.bits import FLOAT16, Tensor
from mlpress.encoding import Dense
from mlpress.mil import Block, Constant, Function, Operation, Opset, Program, TensorType, Value


class Network:
    """Appends operators on values of one shape."""

    def __init__(self, shape: tuple[int, ...] = (1, 4)) -> None:
        self.shape = shape
        self.x = Value("x", TensorType(FLOAT16, shape))
        self.operations: list[Operation | Constant] = []

    def weight(self, name: str) -> Value:
        value = Value(name, TensorType(FLOAT16, (4, 4)))
        self.operations.append(Constant(name, value, Dense(Tensor.from_numpy(np.ones((4, 4), np.float16)))))
        return value

    def op(self, kind: str, name: str, **inputs: Any) -> Value:
        output = Value(name, TensorType(FLOAT16, self.shape))
        self.operations.append(Operation(kind, name, inputs, [output]))
        return output

    def linear(self, x: Value, name: str) -> Value:
        return self.op("linear", name, x=x, weight=self.weight(f"{name}_weight"))

    def program(self, *outputs: Value, opset: Opset = Opset.CoreML8) -> Program:
        return Program({"main": Function([self.x], opset, Block([], self.operations, list(outputs)))})


def listing(program: Program) -> list[str]:
    """Returns the operators in order, as ``name = type(operands that are computed)``."""
    block = program.functions["main"].block
    constants = {constant.output for constant in block.constants()}
    return [
        f"{node.outputs[0].name} = {node.type}({', '.join(_computed(node, constants))})"
        for node in block.operations
        if isinstance(node, Operation)
    ]


def _computed(node: Operation, constants: set[Value]) -> list[str]:
    return [each.name for _, each in node.operands() if isinstance(each, Value) and each not in constants]
