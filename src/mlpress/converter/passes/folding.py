"""Computes operations on constants now."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from mlpress import ops
from mlpress.bits import DType
from mlpress.converter.passes.editor import Editor
from mlpress.encoding import Dense, Encoding, decode
from mlpress.errors import MlpressError
from mlpress.mil import Constant, Literal, Operand, Operation, TensorType, Value
from mlpress.ops.arguments import arguments, python_value
from mlpress.ops.dtypes import torch_dtype

NOT_PURE: Final = (
    "random_bernoulli",
    "random_categorical",
    "random_normal",
    "random_uniform",
)
_LARGE: Final = 4 << 20
"""Bytes from which on a result must not be larger than the operands; biases by place are below."""


def fold_constants(editor: Editor) -> None:
    """Replaces operations whose operands are all constants by what they make.

    Compressed constants are left alone, and so are results that would make the model much larger.
    """
    for operation in editor.operations():
        if operation.type in NOT_PURE or operation.blocks or not _is_constant(editor, operation):
            continue
        version = ops.lookup(operation.type, editor.function.opset)
        if version is None or any(editor.is_output(value) for value in operation.outputs):
            continue
        with torch.no_grad():
            try:
                made = version.function(**arguments(operation, version, ConstantValues(editor.constant)))
            except (MlpressError, RuntimeError):
                continue  # what it is will be said when it is run
        results = made if isinstance(made, tuple | list) else (made,)
        if _is_worth_it(editor, operation, results):
            for value, result in zip(operation.outputs, results, strict=True):
                assert isinstance(value.type, TensorType)
                array = result.numpy().astype(value.type.dtype.storage, copy=False)
                editor.replace(value, editor.add_constant(np.ascontiguousarray(array), value.name))
            editor.remove(operation)


def _is_constant(editor: Editor, operation: Operation) -> bool:
    constants = [editor.constant(operand) for _, operand in operation.operands()]
    return bool(constants) and all(
        constant is not None and isinstance(constant.data, Dense | Literal) for constant in constants
    )


def _is_worth_it(editor: Editor, operation: Operation, results: Any) -> bool:
    size = sum(result.numel() * result.element_size() for result in results)
    operands = (editor.dense(operand) for _, operand in operation.operands())
    return bool(size <= max(_LARGE, sum(array.nbytes for array in operands if array is not None)))


class ConstantValues:
    """Gives ops their operands as tensors, see `mlpress.ops.arguments.Evaluation`."""

    def __init__(self, find: Callable[[Value], Constant | None]) -> None:
        """Takes what finds the constant of a value."""
        self._find = find

    def anchor(self) -> Tensor:
        return torch.empty(0)

    def tensor(self, operand: Operand) -> Tensor:
        data = self._data(operand)
        assert isinstance(data, Encoding)
        array = decode(data)
        return torch.from_numpy(np.array(array)).to(_carrier(data.dtype))

    def plain(self, operand: Operand) -> Any:
        return python_value(self._data(operand))

    def dtype(self, operand: Operand | None) -> torch.dtype:
        kind = None if operand is None else operand.type
        return _carrier(kind.dtype) if isinstance(kind, TensorType) else torch.float32

    def element_type(self, name: str) -> str:
        return "fp32" if name == "fp16" else name

    def _data(self, operand: Operand) -> Encoding | Literal:
        if isinstance(operand, Literal):
            return operand
        constant = self._find(operand)
        assert constant is not None
        return constant.data


def _carrier(dtype: DType) -> torch.dtype:
    """Floats are computed with as float32."""
    return torch.float32 if dtype.is_float else torch_dtype(dtype)
