"""Replacing operators that change a tensor by operators that make a new one."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import fx
from torch._ops import OpOverload
from torch.export import ExportedProgram

from mlpress.converter.capture.aliases import Aliases, changed_arguments
from mlpress.converter.capture.errors import CaptureError
from mlpress.converter.capture.recorder import inherit, stem
from mlpress.converter.capture.source import source_of

aten = torch.ops.aten


def can_make_functional(graph: fx.Graph, kept: Collection[fx.Node]) -> bool:
    """Whether `make_functional` is able to do all changes.

    It is not where a change reaches a view that is looked at later, or one of `kept`, or has no operator
    without the change.
    """
    order = _order(graph)
    aliases = Aliases(graph)
    changes = [node for node in graph.nodes if changed_arguments(node)]
    return all(_can_replace(node, aliases, order, kept) for node in changes)


def make_functional(graph: fx.Graph) -> None:
    """Does away, in place, with changes of tensors.

    Raises:
        CaptureError: `can_make_functional` does not hold.
    """
    changes = [node for node in graph.nodes if changed_arguments(node)]
    if not changes:
        return
    order = _order(graph)
    aliases = Aliases(graph)
    for node in changes:
        if not _can_replace(node, aliases, order, ()):
            raise CaptureError(
                f"{node.target} in {source_of(node)} changes a tensor in place, and others look at it in "
                f"ways that cannot be followed; make a new tensor instead"
            )
    for node in changes:
        _replace(node, order)


def _can_replace(
    node: fx.Node, aliases: Aliases, order: Mapping[fx.Node, int], kept: Collection[fx.Node]
) -> bool:
    return _functional(node.target) is not None and _shows_once(node, aliases, order, kept)


def _order(graph: fx.Graph) -> Mapping[fx.Node, int]:
    return {node: position for position, node in enumerate(graph.nodes)}


def _shows_once(
    mutation: fx.Node, aliases: Aliases, order: Mapping[fx.Node, int], kept: Collection[fx.Node]
) -> bool:
    """Whether everything that looks at the changed tensor later does so through the changed node itself."""
    now = order[mutation]
    (target,) = changed_arguments(mutation)
    earlier = [alias for alias in aliases.of(target) if order[alias] < now]
    if any(alias in kept for alias in earlier):
        return False
    return not any(order[user] > now for alias in earlier if alias is not target for user in alias.users)


def _functional(op: Any) -> OpOverload[..., Any] | None:
    """The operator that computes the same and changes nothing, where it is named as usual."""
    name = op._schema.name.removeprefix("aten::")
    if op.namespace != "aten" or not name.endswith("_") or len(op._schema.returns) != 1:
        return None
    stem = f"__{name[3:]}" if name.startswith("__i") else name.removesuffix("_")
    packet = getattr(aten, stem, None)
    return getattr(packet, op._overloadname, None) if packet is not None else None


def _replace(node: fx.Node, order: Mapping[fx.Node, int]) -> None:
    graph, now = node.graph, order[node]
    (target,) = changed_arguments(node)
    value = target.meta["val"]
    with graph.inserting_before(node), value.fake_mode, torch.no_grad():
        operator: Any = _functional(node.target)
        result = graph.create_node("call_function", operator, node.args, node.kwargs, stem(operator))
        args, kwargs = fx.node.map_arg((node.args, node.kwargs), lambda argument: argument.meta["val"])
        computed = operator(*args, **kwargs)
        inherit(result, node, computed)
        if computed.dtype != value.dtype:
            # The changed tensor keeps its element type; a new one gets that of the wider operand.
            result = graph.call_function(aten._to_copy.default, (result,), {"dtype": value.dtype})
            inherit(result, node, computed.to(value.dtype))
    # Nodes made here have no place in the order; all of them stand before what comes later.
    target.replace_all_uses_with(result, delete_user_cb=lambda user: order.get(user, -1) > now)
    node.replace_all_uses_with(result)
    graph.erase_node(node)


def mutated_inputs(program: ExportedProgram) -> tuple[str, ...]:
    """Names of the inputs that a program changes in place, be it functional already or not."""
    signature = program.graph_signature
    recorded = set(signature.user_inputs_to_mutate.values())
    aliases = Aliases(program.graph)
    changed = {
        alias.name
        for node in program.graph.nodes
        for target in changed_arguments(node)
        for alias in aliases.of(target)
    }
    return tuple(
        name for name in signature.user_inputs if isinstance(name, str) and name in recorded | changed
    )
