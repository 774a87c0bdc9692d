"""Copies of blocks with other values in place of some."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from mlpress.bits import DType
from mlpress.mil import Block, Constant, Literal, Operand, Operation, StringType, TensorType, Value

_WORDS = {"float16": "fp16", "float32": "fp32"}


def with_values(block: Block, replaced: Mapping[Value, Value]) -> Block:
    """Returns a copy in which each use and each result of a value of `replaced` is the other value."""

    def operand(bound: Operand) -> Operand:
        return bound if isinstance(bound, Literal) else replaced.get(bound, bound)

    def copied(node: Operation | Constant) -> Operation | Constant:
        if isinstance(node, Constant):
            return node
        return replace(
            node,
            inputs={
                key: tuple(map(operand, bound)) if isinstance(bound, tuple) else operand(bound)
                for key, bound in node.inputs.items()
            },
            outputs=[replaced.get(value, value) for value in node.outputs],
            blocks=[with_values(nested, replaced) for nested in node.blocks],
        )

    return replace(
        block,
        operations=[copied(node) for node in block.operations],
        outputs=[replaced.get(value, value) for value in block.outputs],
    )


def cast(source: Value, result: Value) -> list[Operation | Constant]:
    """Returns the operation that makes `result` from `source` in another element type, and its constant."""
    assert isinstance(result.type, TensorType)
    word = Literal(StringType(), word_of(result.type.dtype))
    dtype = Constant(f"{result.name}_dtype_0", Value(f"{result.name}_dtype_0", StringType()), word)
    return [dtype, Operation("cast", result.name, {"x": source, "dtype": dtype.output}, [result])]


def word_of(dtype: DType) -> str:
    """Returns what MIL calls a type of floats."""
    return _WORDS[dtype.name]
