"""Which operations are computed how: one place for all choices."""

from __future__ import annotations

from typing import Final

from torch import fx

from mlpress.runtime.fast.coded import to_codes
from mlpress.runtime.fast.encoded_linear import keep_linear_encoded
from mlpress.runtime.fast.encoded_rows import keep_rows_encoded
from mlpress.runtime.fast.fusions import fuse
from mlpress.runtime.fast.nodes import kind
from mlpress.runtime.parts import Parts

_MARK: Final = "fast"

_ON_ENCODED: Final = {"gather": keep_rows_encoded, "linear": keep_linear_encoded}
"""What takes a weight as it is stored."""


def use_fast_kernels(graph: fx.Graph, parts: Parts) -> None:
    """Lets the operations of `graph`, which `mlpress.runtime.build` made, use them where there are some."""
    before = set(graph.nodes)
    fuse(to_codes(graph, parts))
    for node in list(graph.nodes):
        if kind(node) in _ON_ENCODED:
            _ON_ENCODED[kind(node)](graph, parts, node)
    for node in graph.nodes:
        if node not in before:
            node.meta[_MARK] = True


def uses_fast_kernels(module: fx.GraphModule) -> bool:
    """Whether any operation of `module` does."""
    graphs = (part.graph for part in module.modules() if isinstance(part, fx.GraphModule))
    return any(_MARK in node.meta for graph in graphs for node in graph.nodes)
