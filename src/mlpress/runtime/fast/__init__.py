"""Kernels that compute on compressed weights and 8-bit activations as they are, chosen by (op, encoding)."""

from torch import fx

from mlpress.runtime.fast.coded import to_codes
from mlpress.runtime.fast.encoded_linear import keep_encoded
from mlpress.runtime.fast.encoded_rows import keep_rows_encoded
from mlpress.runtime.fast.fusions import fuse
from mlpress.runtime.parts import Parts

_MARK = "fast"


def use_fast_kernels(graph: fx.Graph, parts: Parts) -> None:
    """Lets the operations of `graph`, which `mlpress.runtime.build` made, use them where there are some."""
    before = set(graph.nodes)
    fuse(to_codes(graph, parts))
    keep_encoded(graph, parts)
    keep_rows_encoded(graph, parts)
    for node in graph.nodes:
        if node not in before:
            node.meta[_MARK] = True


def uses_fast_kernels(module: fx.GraphModule) -> bool:
    """Whether any operation of `module` does."""
    graphs = (part.graph for part in module.modules() if isinstance(part, fx.GraphModule))
    return any(_MARK in node.meta for graph in graphs for node in graph.nodes)


__all__ = ["use_fast_kernels", "uses_fast_kernels"]
