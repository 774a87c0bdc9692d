"""Removing operators that do nothing in a program."""

from __future__ import annotations

from typing import Any, Final

import torch
from torch import fx
from torch._ops import OpOverload

from mlpress.converter.capture.symbols import same_shape

aten = torch.ops.aten

_CHECKS: Final = frozenset(
    {
        "_assert_async",
        "_assert_scalar",
        "_assert_tensor_metadata",
        "_functional_assert_async",
        "_functional_assert_scalar",
        "sym_constrain_range",
        "sym_constrain_range_for_size",
    }
)
_COPIES: Final = frozenset(
    {"alias", "clone", "contiguous", "detach", "lift", "lift_fresh", "lift_fresh_copy"}
)
_DROPOUTS: Final = frozenset({"dropout", "feature_dropout", "alpha_dropout"})
_IDENTITIES_IF_SAME_TYPE: Final = frozenset(
    {"_to_copy", "_unsafe_view", "expand", "repeat", "reshape", "slice", "squeeze", "to", "type_as", "view"}
)
"""They move no element, so that a result of the same shape and element type is the operand."""


def simplify(graph: fx.Graph) -> None:
    """Removes, in place, checks, copies, dropout, reshapes to the same shape and whatever nothing depends on.

    Views become reshapes.
    """
    for node in list(graph.nodes):
        name = _aten_name(node.target)
        if name in _CHECKS:
            graph.erase_node(node)
        elif (same := _same_value(node, name)) is not None:
            node.replace_all_uses_with(same)
            graph.erase_node(node)
        elif name == "copy":
            _simplify_copy(node)
        elif node.target in (aten.view.default, aten._unsafe_view.default):
            # Without the copies, strides differ from those that a view was traced with; Core ML has none.
            node.target = aten.reshape.default
    graph.eliminate_dead_code()


def _same_value(node: fx.Node, name: str) -> fx.Node | None:
    """The operand that is all that a node gives; None if it gives something of its own."""
    operands = node.all_input_nodes
    if name in _COPIES or name in _DROPOUTS:
        return operands[0]
    if name in _IDENTITIES_IF_SAME_TYPE:
        value, operand = node.meta["val"], operands[0].meta["val"]
        return (
            operands[0] if value.dtype == operand.dtype and same_shape(value.shape, operand.shape) else None
        )
    if name == "slice_scatter":
        whole = same_shape(operands[0].meta["val"].shape, operands[-1].meta["val"].shape)
        return operands[1] if whole and len(operands) == 2 else None
    return None


def _aten_name(op: Any) -> str:
    return op._schema.name.removeprefix("aten::") if isinstance(op, OpOverload) else ""


def _simplify_copy(node: fx.Node) -> None:
    """Turns a copy into what it does to the source: a cast, a broadcast, both or nothing."""
    target: Any = node.args[0]
    result: Any = node.args[1]
    destination, source = target.meta["val"], result.meta["val"]
    value = source
    with node.graph.inserting_before(node), source.fake_mode, torch.no_grad():
        if source.dtype != destination.dtype:
            result = node.graph.call_function(aten._to_copy.default, (result,), {"dtype": destination.dtype})
            value = value.to(destination.dtype)
            result.meta = node.meta | {"val": value}
        if not same_shape(source.shape, destination.shape):
            if any(isinstance(size, torch.SymInt) for size in destination.shape):
                return
            result = node.graph.call_function(aten.expand.default, (result, list(destination.shape)))
            result.meta = node.meta | {"val": value.expand(destination.shape)}
    node.replace_all_uses_with(result)
    node.graph.erase_node(node)
