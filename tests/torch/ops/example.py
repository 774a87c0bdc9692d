"""An example call of an op, and how ops are called on it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from mlpress import ops
from mlpress.mil import Opset
from mlpress.ops import Kind, Version


@dataclass(frozen=True, eq=False)
class Example:
    """A call that Core ML allows, in the element types of a program.

    Attributes:
        op: Name of the op.
        arguments: By parameter. NumPy arrays are tensors, tuples of arrays several of them. What an op takes
            as a plain value is one, or a NumPy scalar or array where its element type matters. Python floats
            are float32, integers int32.
        opset: The opset to call it in.
        note: What sets it apart from other examples of the op.
    """

    op: str
    arguments: Mapping[str, Any]
    opset: Opset = Opset.CoreML5
    note: str = ""

    @property
    def version(self) -> Version:
        found = ops.lookup(self.op, self.opset)
        assert found is not None, f"{self.op} is not defined for {self.opset.target}"
        return found

    def __str__(self) -> str:
        return "-".join(filter(None, (self.op, self.opset.name, self.note)))


def run(example: Example) -> Any:
    """Calls the op as a run does: floats are float32. What is so already shares memory with the example."""
    return call(in_floats(example), lambda array: as_run(torch.from_numpy(np.asarray(array))))


def run_as_typed(example: Example) -> Any:
    """Calls the op in the element types of the program; for modes in which tensors are fake."""
    return call(example, lambda array: torch.from_numpy(np.asarray(array)))


def call(example: Example, to_tensor: Callable[[Any], torch.Tensor]) -> Any:
    """Calls the op on what `to_tensor` makes of arrays and NumPy scalars."""
    return example.version.function(**arguments(example, to_tensor))


def arguments(example: Example, to_tensor: Callable[[Any], torch.Tensor]) -> dict[str, Any]:
    """Returns the keyword arguments for the op's function, context included."""
    version = example.version
    given = {
        name: _convert(version.kinds[name], value, to_tensor) for name, value in example.arguments.items()
    }
    if "anchor" in version.context:
        given["anchor"] = to_tensor(np.empty(0, np.float32))
    if "result_dtype" in version.context:
        followed = example.arguments.get(version.dtype_of or "", np.float32(0))
        given["result_dtype"] = to_tensor(_in_mil_precision(followed)).dtype
    return given


def in_floats(example: Example) -> Example:
    """Returns the call that a run makes, which asks for float32 where the program asks for float16."""
    arguments = {
        name: "fp32" if isinstance(value, str) and value == "fp16" else value
        for name, value in example.arguments.items()
    }
    return replace(example, arguments=arguments)


def as_run(x: torch.Tensor) -> torch.Tensor:
    """Returns a tensor of a program as a run holds it."""
    return x.float() if x.is_floating_point() else x


def leaves(result: Any) -> list[torch.Tensor]:
    """Returns the tensors of a result: of ops that have several, and of lists."""
    if isinstance(result, torch.Tensor):
        return [result]
    return [leaf for part in result for leaf in leaves(part)]


def _convert(kind: Kind, value: Any, to_tensor: Callable[[Any], torch.Tensor]) -> Any:
    if kind is Kind.TENSOR:
        return (
            tuple(map(to_tensor, value)) if isinstance(value, tuple) else to_tensor(_in_mil_precision(value))
        )
    if kind is Kind.TENSORS:
        return tuple(map(to_tensor, value))
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def _in_mil_precision(value: Any) -> Any:
    """Returns a plain value as an array of the element type that it has in MIL; other values as they are."""
    array = np.asarray(value)
    if isinstance(value, np.ndarray | np.generic) or array.dtype.kind not in "if":
        return value
    return array.astype(np.float32 if array.dtype.kind == "f" else np.int32)
