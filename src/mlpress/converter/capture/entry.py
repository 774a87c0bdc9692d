"""From what a user hands in to a captured graph."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import fx, nn
from torch.export import ExportedProgram

from mlpress.converter.capture.captured import Captured
from mlpress.converter.capture.decisions import check_decisions
from mlpress.converter.capture.decompositions import Decompositions, decompositions
from mlpress.converter.capture.dimensions import Asked, open_dimensions
from mlpress.converter.capture.errors import CaptureError
from mlpress.converter.capture.evaluation import evaluation_mode
from mlpress.converter.capture.examples import prepare
from mlpress.converter.capture.expand import expand
from mlpress.converter.capture.exporting import explain, export, functionalized
from mlpress.converter.capture.fake_quantizers import check_not_packed, observing_nothing
from mlpress.converter.capture.fold import fold_constants, fold_rounded
from mlpress.converter.capture.functional import make_functional, mutated_inputs
from mlpress.converter.capture.kernels import shape_kernels
from mlpress.converter.capture.program import Unlifted, unlift
from mlpress.converter.capture.simplify import simplify
from mlpress.converter.capture.torchscript.mirror import MirrorRoot


def capture(
    model: nn.Module | ExportedProgram,
    example_inputs: Any = None,
    dynamic_shapes: Any = None,
    keep: frozenset[str] = frozenset(),
) -> Captured:
    """Captures a PyTorch model as one graph of functional ATen operators.

    Neither the model nor the inputs are changed. A model in training mode is captured as in evaluation mode,
    with a warning.

    Args:
        model: A module, one that `torch.jit` traced or scripted, or an exported program.
        example_inputs: For modules: a tensor, a tuple of positional or a dict of keyword arguments. Only
            their shapes and element types matter.
        dynamic_shapes: Which dimensions stay open, as for `torch.export.export`.
        keep: Overloads, such as ``"aten.glu.default"``, that stay whole besides those that Core ML has.

    Raises:
        CaptureError: The model cannot be captured; the message says why and where in its code.
    """
    seconds: dict[str, float] = {}
    rules = decompositions(keep)
    asked: Asked = {}
    with shape_kernels():
        with _timed(seconds, "export"):
            if isinstance(model, ExportedProgram):
                program = _given_program(model, dynamic_shapes, rules)
            elif isinstance(model, nn.Module):
                check_not_packed(model)
                module = MirrorRoot(model) if isinstance(model, torch.jit.ScriptModule) else model
                examples = prepare(module, example_inputs, dynamic_shapes)
                asked = examples.open_dimensions
                with evaluation_mode(module), observing_nothing(module):
                    program = export(module, examples, rules)
            else:
                raise CaptureError(f"a {type(model).__name__} is not a torch.nn.Module or an ExportedProgram")
        parts = unlift(program)
        mutated = mutated_inputs(program)
        with _timed(seconds, "decompose"):
            _clean(parts.graph, rules)
            for module in parts.modules.values():
                _clean_module(module, rules)
    with _timed(seconds, "fold"):
        fold_rounded(parts.graph, parts.tensors)
        fold_constants(parts.graph, parts.tensors)
        simplify(parts.graph)
    return _captured(program, parts, asked, mutated, seconds)


def _given_program(program: ExportedProgram, dynamic_shapes: Any, rules: Decompositions) -> ExportedProgram:
    if dynamic_shapes is not None:
        raise CaptureError("dynamic_shapes is given, but an exported program has its open dimensions already")
    try:
        return functionalized(program, rules)
    except Exception as error:
        raise explain(error) from error


def _clean(graph: fx.Graph, rules: Decompositions) -> None:
    make_functional(graph)
    expand(graph, rules)
    make_functional(graph)
    simplify(graph)


def _clean_module(module: fx.GraphModule, rules: Decompositions) -> None:
    for child in module.children():
        if isinstance(child, fx.GraphModule):
            _clean_module(child, rules)
    _clean(module.graph, rules)
    module.recompile()


def _captured(
    program: ExportedProgram,
    parts: Unlifted,
    asked: Asked,
    mutated: tuple[str, ...],
    seconds: dict[str, float],
) -> Captured:
    check_decisions(program, parts.inputs, asked)
    tensors = parts.tensors
    used = {node.target for node in parts.graph.find_nodes(op="get_attr")}
    for name in tensors.constants.keys() - used:
        del tensors.constants[name]
    attributes = {
        name: value for name, value in (tensors.all() | dict(parts.modules)).items() if name in used
    }
    return Captured(
        graph_module=fx.GraphModule(attributes, parts.graph, "Captured"),
        inputs=parts.inputs,
        outputs=parts.outputs,
        states=parts.states,
        parameters=tensors.parameters,
        buffers=tensors.buffers,
        constants=tensors.constants,
        dimensions=open_dimensions(program, parts.inputs, asked),
        mutated_inputs=mutated,
        seconds=seconds,
    )


@contextmanager
def _timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    seconds[stage] = time.perf_counter() - start
