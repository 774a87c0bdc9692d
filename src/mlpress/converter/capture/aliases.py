"""Which nodes of a graph stand for views of the same tensor, and which nodes change one."""

from __future__ import annotations

import operator
from collections import defaultdict
from collections.abc import Sequence

import torch
from torch import fx
from torch._ops import OpOverload


def changed_arguments(node: fx.Node) -> list[fx.Node]:
    """The arguments that an operator changes in place; empty for most."""
    if not isinstance(node.target, OpOverload) or not node.target._schema.is_mutable:
        return []
    changed = []
    for position, argument in enumerate(node.target._schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            given = node.args[position] if position < len(node.args) else node.kwargs.get(argument.name)
            changed += [each for each in _nodes(given) if each not in changed]
    return changed


class Aliases:
    """Groups of nodes whose tensors share memory, by their fake tensors and by what operators declare."""

    def __init__(self, graph: fx.Graph) -> None:
        self._parents: dict[fx.Node, fx.Node] = {}
        storages: dict[int, fx.Node] = {}
        for node in graph.nodes:
            self._parents[node] = node
            for source in _declared_sources(node):
                self._join(node, source)
            # Some composite operators do not declare that they return a view; but programs read from files
            # have fake tensors that share nothing.
            value = node.meta.get("val")
            if isinstance(value, torch.Tensor):
                self._join(node, storages.setdefault(value.untyped_storage()._cdata, node))
        self._members: dict[fx.Node, list[fx.Node]] = defaultdict(list)
        for node in graph.nodes:
            self._members[self._root(node)].append(node)

    def of(self, node: fx.Node) -> Sequence[fx.Node]:
        """All nodes, in the order of the graph, that may share memory with `node`, which is one of them."""
        return self._members[self._root(node)]

    def _root(self, node: fx.Node) -> fx.Node:
        while (parent := self._parents[node]) is not node:
            self._parents[node] = node = self._parents[parent]
        return node

    def _join(self, one: fx.Node, other: fx.Node) -> None:
        self._parents[self._root(one)] = self._root(other)


def _declared_sources(node: fx.Node) -> list[fx.Node]:
    """The arguments that a node's result may be a view of, as its schema declares."""
    if node.target is operator.getitem:
        return [source for source in _nodes(node.args[0]) if _returned_sets(source.target) is not None]
    returned = _returned_sets(node.target)
    if returned is None:
        return []
    assert isinstance(node.target, OpOverload)
    sources = []
    for position, argument in enumerate(node.target._schema.arguments):
        # Schemas give no name to the alias set of a returned list, so it may be any of the arguments'.
        if argument.alias_info is not None and (not returned or argument.alias_info.before_set & returned):
            sources += _nodes(
                node.args[position] if position < len(node.args) else node.kwargs.get(argument.name)
            )
    return sources


def _returned_sets(op: object) -> set[str] | None:
    """Names of the alias sets of what an operator returns; None if it returns new tensors only."""
    infos = [value.alias_info for value in op._schema.returns] if isinstance(op, OpOverload) else []
    declared = [info for info in infos if info is not None]
    return {name for info in declared for name in info.before_set} if declared else None


def _nodes(argument: object) -> list[fx.Node]:
    if isinstance(argument, fx.Node):
        return [argument]
    return (
        [each for each in argument if isinstance(each, fx.Node)] if isinstance(argument, list | tuple) else []
    )
