"""Where a module holds the constants of its program."""

from __future__ import annotations

from collections.abc import Hashable, Iterator

from torch import fx

from mlpress.encoding import storage_key
from mlpress.mil import Literal

Place = tuple[fx.GraphModule, fx.Node]
"""A module, or the module of a block of control flow inside it, and the node that holds a constant."""


def uses_of(module: fx.GraphModule) -> dict[Hashable, list[Place]]:
    """Returns where a module, made by `mlpress.runtime`, holds each constant, by the key of its storage."""
    found: dict[Hashable, list[Place]] = {}
    for graph, node in places(module):
        data = node.meta["constant"].data
        if not isinstance(data, Literal):
            found.setdefault(storage_key(data), []).append((graph, node))
    return found


def places(module: fx.GraphModule) -> Iterator[Place]:
    """Yields where a module holds constants."""
    for part in module.modules():
        if isinstance(part, fx.GraphModule):
            for node in part.graph.nodes:
                if "constant" in node.meta:
                    yield part, node
