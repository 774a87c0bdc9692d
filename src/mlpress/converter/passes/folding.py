"""Computes operations on constants now."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from mlpress import ops
from mlpress.bits import DType
from mlpress.converter.passes.editor import Editor
from mlpress.encoding import Dense, Encoding, decode
from mlpress.errors import MlpressError
from mlpress.mil import Literal, Operand, Operation, Opset, TensorType
from mlpress.ops.arguments import arguments, python_value
from mlpress.ops.dtypes import torch_dtype

Find = Callable[[Operand], Encoding | Literal | None]
"""Returns what an operand holds, None if that is known in a run only."""

_NOT_PURE: Final = (
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

    def find(operand: Operand) -> Encoding | Literal | None:
        constant = editor.constant(operand)
        return None if constant is None else constant.data

    for operation in editor.operations():
        if any(editor.is_output(value) for value in operation.outputs):
            continue
        results = evaluated(operation, editor.function.opset, find)
        if results is not None and _is_worth_it(editor, operation, results):
            for value, result in zip(operation.outputs, results, strict=True):
                assert isinstance(value.type, TensorType)
                array = result.numpy().astype(value.type.dtype.storage, copy=False)
                editor.replace(value, editor.add_constant(np.ascontiguousarray(array), value.name))
            editor.remove(operation)


def evaluated(operation: Operation, opset: Opset, find: Find) -> Sequence[Tensor] | None:
    """Returns what an operation makes of constants, floats as float32.

    Returns None for one that is random, has blocks, takes anything but constants that are not compressed, or
    cannot be computed: what it is will be said when it is run.
    """
    if operation.type in _NOT_PURE or operation.blocks:
        return None
    known = [find(operand) for _, operand in operation.operands()]
    if not known or not all(isinstance(data, Dense | Literal) for data in known):
        return None
    version = ops.lookup(operation.type, opset)
    if version is None:
        return None
    with torch.no_grad():
        try:
            made = version.function(**arguments(operation, version, _ConstantValues(find)))
        except (MlpressError, RuntimeError):
            return None
    return made if isinstance(made, tuple | list) else (made,)


def _is_worth_it(editor: Editor, operation: Operation, results: Sequence[Tensor]) -> bool:
    size = sum(result.numel() * result.element_size() for result in results)
    operands = (editor.dense(operand) for _, operand in operation.operands())
    return bool(size <= max(_LARGE, sum(array.nbytes for array in operands if array is not None)))


class _ConstantValues:
    """Gives ops their operands as tensors, see `mlpress.ops.arguments.Evaluation`."""

    def __init__(self, find: Find) -> None:
        """Takes what finds the data of all operands."""
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
        data = self._find(operand)
        assert data is not None
        return data


def _carrier(dtype: DType) -> torch.dtype:
    """Floats are computed with as float32."""
    return torch.float32 if dtype.is_float else torch_dtype(dtype)
