"""Finds everything in a graph that has no lowering, before any work is done."""

from __future__ import annotations

import operator
from collections.abc import Iterator

import torch
from torch import fx
from torch._ops import HigherOrderOperator, OpOverload

from mlpress.converter.capture.source import source_of
from mlpress.converter.lowering import registry
from mlpress.converter.lowering.errors import UnsupportedOperatorsError

_SHOWN = 5


def check_supported(module: fx.GraphModule) -> None:
    """Checks that every operator in the graph of `module` and in graphs inside it has a lowering.

    Raises:
        UnsupportedOperatorsError: Some have none; all are listed, with the places they come from.
    """
    missing: dict[str, list[str]] = {}
    for node in _nodes(module):
        if needs_lowering(node) and registry.find(registry.name_of(node.target)) is None:
            missing.setdefault(registry.name_of(node.target), []).append(str(source_of(node)))
    if missing:
        listed = "\n".join(_entry(name, places) for name, places in missing.items())
        raise UnsupportedOperatorsError(
            f"{len(missing)} operators of the model cannot be converted:\n{listed}\n"
            f"An operator can be taught with mlpress.converter.register_lowering."
        )


def needs_lowering(node: fx.Node) -> bool:
    """Whether a node is a call of an operator on tensors; arithmetic on sizes is not."""
    if node.op != "call_function" or node.target is operator.getitem:
        return False
    if isinstance(node.target, HigherOrderOperator):
        return True
    if not isinstance(node.target, OpOverload):
        return not isinstance(
            node.meta.get("val"), int | float | torch.SymInt | torch.SymFloat | torch.SymBool
        )
    return registry.name_of(node.target) not in SIZE_OPERATORS


SIZE_OPERATORS = frozenset(
    {
        "aten.sym_is_contiguous.default",
        "aten.sym_numel.default",
        "aten.sym_size.int",
        "aten.sym_storage_offset.default",
        "aten.sym_stride.int",
    }
)
"""Operators that only tell sizes; the results are symbolic expressions, lowered where they are used."""


def _nodes(module: fx.GraphModule) -> Iterator[fx.Node]:
    yield from module.graph.nodes
    for child in module.children():
        if isinstance(child, fx.GraphModule):
            yield from _nodes(child)


def _entry(name: str, places: list[str]) -> str:
    reason = registry.reason_against(name)
    shown = list(dict.fromkeys(places))
    more = [f"and {len(shown) - _SHOWN} more places"] if len(shown) > _SHOWN else []
    head = f"- {name}" + (f" ({reason})" if reason else "")
    return "\n".join(
        [head, *(f"    in {place}" for place in shown[:_SHOWN]), *(f"    {text}" for text in more)]
    )
