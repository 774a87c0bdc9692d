"""Small programs to run."""

from __future__ import annotations

from collections.abc import Sequence

from mlpress.bits import FLOAT32, DType
from mlpress.mil import Function, Opset, Program, TensorType, Value
from mlpress.ops.builder import Builder


def tensor_type(*shape: int | None, dtype: DType = FLOAT32) -> TensorType:
    return TensorType(dtype, shape)


def program(builder: Builder, inputs: Sequence[Value], outputs: Sequence[Value]) -> Program:
    """Returns a program of one function, ``main``, that `builder` has built."""
    inner = [value for value in inputs if isinstance(value.type, TensorType)]
    states = [value for value in inputs if value not in inner]
    block = builder.block([], outputs)
    return Program({"main": Function([*inner, *states], builder.opset, block)})


def builder(opset: Opset = Opset.CoreML8) -> Builder:
    return Builder(opset)
