"""Converting small functions and running the programs, to compare with torch."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mlpress import ops
from mlpress.converter.capture import Captured, capture
from mlpress.converter.lowering import registry
from mlpress.converter.lowering.program import lower
from mlpress.mil import Constant, Operation, Opset, Program
from mlpress.ops.infer import Inference, type_of
from mlpress.runtime import Runner


class Calls(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self._function = function

    def forward(self, *inputs: Tensor) -> Any:
        return self._function(*inputs)


def captured(model: nn.Module | Callable[..., Any], inputs: Sequence[Tensor], **options: Any) -> Captured:
    module = model if isinstance(model, nn.Module) else Calls(model)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own, about how models are written
        return capture(module.eval(), tuple(inputs), keep=registry.known(), **options)


def results_of(program: Program, inputs: Sequence[Tensor]) -> list[np.ndarray]:
    feeds = {
        value.name: tensor for value, tensor in zip(program.functions["main"].inputs, inputs, strict=True)
    }
    return list(Runner(program, "main")(feeds).values())


def expected_of(model: Callable[..., Any], inputs: Sequence[Tensor]) -> list[np.ndarray]:
    if isinstance(model, nn.Module):
        model.eval()
    with torch.no_grad():
        found = model(*inputs)
    several = [found] if isinstance(found, Tensor) else [part for part in found if part is not None]
    return [part.numpy() for part in several]


def assert_lowers(
    model: nn.Module | Callable[..., Any],
    inputs: Sequence[Tensor],
    *opsets: Opset,
    relative: float = 1e-4,
    **options: Any,
) -> Program:
    """Checks that the programs of a model compute what torch does, and that their types are right.

    Returns the last one.
    """
    reference = expected_of(model, inputs)
    graph = captured(model, inputs, **options)
    for opset in opsets:
        program = lower(graph, opset)
        check_types(program)
        for ours, theirs in zip(results_of(program, inputs), reference, strict=True):
            assert_close(ours, theirs, relative)
    return program


def assert_close(ours: np.ndarray, theirs: np.ndarray, relative: float = 1e-4) -> None:
    assert ours.shape == theirs.shape
    if theirs.dtype.kind == "f":
        finite = np.isfinite(theirs)
        np.testing.assert_array_equal(ours[~finite], theirs[~finite])
        largest = np.abs(theirs[finite]).max(initial=0.0)
        np.testing.assert_allclose(
            ours[finite], theirs[finite], rtol=relative, atol=relative * largest + 1e-7
        )
    else:
        np.testing.assert_array_equal(ours, theirs)


def check_types(program: Program) -> None:
    """Checks the types that operations claim against those that the ops' definitions give."""
    function = program.functions["main"]
    inference = Inference()
    for node in function.block.operations:
        if isinstance(node, Constant):
            inference.know(node)
            continue
        version = ops.lookup(node.type, function.opset)
        if version is None or depends_on_values(node, inference):
            continue
        for value, fake in zip(node.outputs, inference.results(node, version), strict=True):
            found = type_of(fake)
            assert value.type.dtype == found.dtype, (node.type, value, found)
            assert len(value.type.shape) == len(found.shape), (node.type, value, found)
            for claimed, size in zip(value.type.shape, found.shape, strict=True):
                assert claimed is None or size is None or claimed == size, (node.type, value, found)


def depends_on_values(node: Operation, inference: Inference) -> bool:
    version = ops.lookup(node.type, Opset.CoreML9)
    assert version is not None
    if node.type == "non_zero":
        return True
    plain = [name for name, kind in version.kinds.items() if kind in (ops.Kind.VALUE, ops.Kind.VALUES)]
    bound = [node.inputs[name] for name in plain if name in node.inputs]
    flat = [item for part in bound for item in (part if isinstance(part, tuple) else (part,))]
    return any(inference.constant(value) is None for value in flat)


def operations(program: Program) -> list[str]:
    return [node.type for node in program.functions["main"].block.walk() if isinstance(node, Operation)]
