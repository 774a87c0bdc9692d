"""Nodes for symbolic sizes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import sympy
import torch
from torch import fx
from torch.utils._sympy.interp import sympy_interp
from torch.utils._sympy.reference import PythonReferenceAnalysis

from mlpress.converter.capture.errors import CaptureError

Symbolic = torch.SymInt | torch.SymFloat | torch.SymBool


class Symbols:
    """Which nodes of a graph compute which symbolic numbers.

    It is filled while a pass walks over the graph from front to back, so that a node that it answers with
    always stands before the place where it is asked for.
    """

    def __init__(self, graph: fx.Graph) -> None:
        self._graph = graph
        self._nodes: dict[sympy.Basic, fx.Node] = {}
        self._sizes: dict[sympy.Basic, tuple[fx.Node, int, torch.SymInt]] = {}

    def see(self, node: fx.Node) -> None:
        """Takes note of a node: of its number, or of the sizes of an input."""
        value = node.meta.get("val")
        if isinstance(value, Symbolic):
            self._nodes.setdefault(value.node.expr, node)
        elif node.op == "placeholder" and isinstance(value, torch.Tensor):
            sizes: Sequence[Any] = value.shape
            for axis, size in enumerate(sizes):
                if isinstance(size, torch.SymInt):
                    self._sizes.setdefault(size.node.expr, (node, axis, size))

    def node(self, value: Symbolic) -> fx.Node | int | float | bool:
        """The node that computes a symbolic number, made at the graph's insertion point if there is none.

        Raises:
            CaptureError: It depends on a symbol that is not the size of an input.
        """
        expression = value.node.expr
        if not expression.free_symbols:
            number: int | float | bool = value.node.pytype(expression)
            return number
        return self._find(expression) or self._build(expression, value)

    def _find(self, expression: sympy.Basic) -> fx.Node | None:
        if expression not in self._nodes and expression in self._sizes:
            source, axis, size = self._sizes[expression]
            self._nodes[expression] = self._graph.call_function(torch.ops.aten.sym_size.int, (source, axis))
            self._nodes[expression].meta["val"] = size
        return self._nodes.get(expression)

    def _build(self, expression: sympy.Basic, value: Symbolic) -> fx.Node:
        known: dict[sympy.Symbol, fx.Proxy] = {}
        tracer = fx.proxy.GraphAppendingTracer(self._graph)
        for symbol in expression.free_symbols:
            known_node = self._find(symbol)
            if known_node is None:
                raise CaptureError(
                    f"the size {expression} depends on {symbol}, which is not the size of any input; "
                    "give the dimension itself a name in dynamic_shapes, not only an expression of it"
                )
            known[symbol] = fx.Proxy(known_node, tracer)
        with _values(self._graph):
            node: fx.Node = sympy_interp(PythonReferenceAnalysis, known, expression).node
        node.meta["val"] = value
        self._nodes[expression] = node
        return node


@contextmanager
def _values(graph: fx.Graph) -> Iterator[None]:
    """Gives the nodes that are made meanwhile their numbers."""
    before = set(graph.nodes)
    yield
    for node in graph.nodes:
        if node not in before:
            args = fx.node.map_arg(node.args, lambda argument: argument.meta["val"])
            node.meta["val"] = node.target(*args)


def same_shape(one: Sequence[Any], other: Sequence[Any]) -> bool:
    """Whether two shapes are the same for all sizes of the open dimensions, as far as is known."""
    return len(one) == len(other) and all(
        _expression(a) == _expression(b) for a, b in zip(one, other, strict=True)
    )


def _expression(size: Any) -> Any:
    return size.node.expr if isinstance(size, torch.SymInt) else size
