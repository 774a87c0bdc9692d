"""`torch.export` on a module, with its errors in words that say what to do."""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import fx, nn
from torch._dynamo.exc import UserError, UserErrorType
from torch._ops import HigherOrderOperator
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind
from torch.fx.experimental.symbolic_shapes import ConstraintViolationError, GuardOnDataDependentSymNode

from mlpress.converter.capture.decompositions import Decompositions
from mlpress.converter.capture.errors import CaptureError, DataDependentError, SpecializedDimensionError
from mlpress.converter.capture.examples import Examples
from mlpress.converter.capture.fake_quantizers import rounding_only
from mlpress.converter.capture.functional import can_make_functional
from mlpress.converter.capture.open_sizes import KeepsSizesOpen
from mlpress.converter.capture.repair import repaired
from mlpress.converter.capture.source import is_torch
from mlpress.converter.capture.training import check_mode

_USER_FRAME = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+), in \S+\n\s*(?P<code>.*)')
_DATA_DEPENDENT = ("data-dependent", "data dependent", "unbacked", "DynamicOutputShape")


def export(module: nn.Module, examples: Examples, rules: Decompositions) -> ExportedProgram:
    """Exports a module: by tracing its Python code, or else, if that fails, by analysing its bytecode.

    The program comes back in a form that `functional.make_functional` can handle: if it is not so by itself,
    with `rules` applied to all of it.

    Raises:
        CaptureError: Neither way works.
    """
    try:
        return functionalized(_export(module, examples, strict=False), rules)
    except CaptureError:
        raise
    except Exception as error:
        first = error
    try:
        return functionalized(_export(module, examples, strict=True), rules)
    except Exception:
        raise explain(first) from first


def _export(module: nn.Module, examples: Examples, *, strict: bool) -> ExportedProgram:
    with torch.no_grad(), KeepsSizesOpen():
        return torch.export.export(
            module, examples.args, examples.kwargs, dynamic_shapes=examples.dynamic_shapes, strict=strict
        )


def functionalized(program: ExportedProgram, rules: Decompositions) -> ExportedProgram:
    """The program if its changes of tensors are simple and it has no sub-graphs, else a decomposed one.

    Raises:
        CaptureError: It was recorded in training mode.
    """
    check_mode(program.graph)
    program = rounding_only(program)
    if _is_simple(program):
        return program
    with torch.no_grad():
        result: ExportedProgram = repaired(program).run_decompositions(dict(rules.table))
    return result


def _is_simple(program: ExportedProgram) -> bool:
    inputs = {
        spec.arg.name for spec in program.graph_signature.input_specs if spec.kind is InputKind.USER_INPUT
    }
    kept = {node for node in program.graph.nodes if node.op == "placeholder" and node.name not in inputs}
    return not _has_subgraphs(program.graph) and can_make_functional(program.graph, kept)


def _has_subgraphs(graph: fx.Graph) -> bool:
    return any(isinstance(node.target, HigherOrderOperator) for node in graph.nodes)


def explain(error: Exception, place: str = "") -> CaptureError:
    """The error of ours that says what an error of torch means for the user, and where in their code."""
    if isinstance(error, CaptureError):
        return error
    text = str(error).split("\n\nThe error above occurred")[0].strip()
    where = f" in {place}" if place else _user_line(error, text)
    if isinstance(error, ConstraintViolationError) or "onstraints violated" in text:
        return SpecializedDimensionError(
            f"a dimension that should stay open is fixed in the model's code{where}: {text}"
        )
    if isinstance(error, GuardOnDataDependentSymNode) or any(word in text for word in _DATA_DEPENDENT):
        return DataDependentError(
            f"a shape or branch depends on the values of a tensor{where}; "
            f"use torch.cond or torch.where, or make it depend on shapes only: {text}"
        )
    if isinstance(error, UserError) and error.error_type is UserErrorType.INVALID_INPUT:
        return CaptureError(f"the inputs or dynamic_shapes do not fit the model: {text}")
    return CaptureError(f"torch cannot capture the model{where}: {type(error).__name__}: {text}")


def _user_line(error: BaseException, text: str) -> str:
    """The innermost line outside of torch that an error comes from, as far as is known."""
    lines = [(frame.tb_frame.f_code.co_filename, frame.tb_lineno) for frame in _frames(error)]
    lines += [(match["file"], int(match["line"])) for match in _USER_FRAME.finditer(text)]
    outside = [(file, line) for file, line in lines if not _is_internal(file)]
    return f" at {outside[-1][0]}:{outside[-1][1]}" if outside else ""


def _frames(error: BaseException) -> list[Any]:
    frames = []
    traceback = error.__traceback__
    while traceback is not None:
        frames.append(traceback)
        traceback = traceback.tb_next
    return frames


def _is_internal(file: str) -> bool:
    return is_torch(file) or "/mlpress/converter/" in file or file.startswith("<")
