"""Exported programs in a form that `ExportedProgram.run_decompositions` treats right."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import fx
from torch.export import ExportedProgram

from mlpress.converter.capture.aliases import changed_arguments
from mlpress.converter.capture.symbols import same_shape

aten = torch.ops.aten


def repaired(program: ExportedProgram) -> ExportedProgram:
    """A program that means the same and avoids two faults; the given one stays as it is.

    `run_decompositions` fails where a buffer that changes has two names: inputs for second names that
    nothing uses go, and stay in the program's tensors. And it forgets that a copy into a buffer casts and
    broadcasts: operators of their own do so.
    """
    graph = fx.Graph()
    copies: dict[fx.Node, fx.Node] = {}
    graph.output(graph.graph_copy(program.graph, copies))
    unused = _unused_second_names(program)
    for old, new in copies.items():
        new.name = old.name  # the copy of one called like a builtin, such as ``input``, has got another
        if old.name in unused:
            graph.erase_node(new)
        elif new.target is aten.copy_.default:
            _spell_out(new)
    signature = copy.copy(program.graph_signature)
    signature.input_specs = [spec for spec in signature.input_specs if spec.arg.name not in unused]
    return program._update(fx.GraphModule(program.graph_module, graph), signature)


def _unused_second_names(program: ExportedProgram) -> set[str]:
    tensors = program.state_dict | program.constants
    names: dict[int, list[str]] = {}
    for spec in program.graph_signature.input_specs:
        tensor = tensors.get(spec.target) if spec.target is not None else None
        if isinstance(tensor, torch.Tensor):
            names.setdefault(tensor.untyped_storage()._cdata, []).append(spec.arg.name)
    shared = {name for group in names.values() if len(group) > 1 for name in group}
    placeholders = program.graph.find_nodes(op="placeholder")
    return {node.name for node in placeholders if node.name in shared and not node.users}


def _spell_out(node: fx.Node) -> None:
    """Gives a copy a source of the type and shape of what it changes."""
    (target,) = changed_arguments(node)
    source: Any = node.args[1]
    wanted, given = target.meta["val"], source.meta["val"]
    graph = node.graph
    with graph.inserting_before(node), wanted.fake_mode, torch.no_grad():
        result = source
        if given.dtype != wanted.dtype:
            given = given.to(wanted.dtype)
            result = graph.call_function(aten.to.dtype, (result, wanted.dtype))
            result.meta = node.meta | {"val": given}
        if not same_shape(given.shape, wanted.shape):
            result = graph.call_function(aten.expand_as.default, (result, target))
            result.meta = node.meta | {"val": given.expand_as(wanted)}
    node.args = (target, result, *node.args[2:])
