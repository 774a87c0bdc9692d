"""Which operation of a program a run failed in."""

from __future__ import annotations

import traceback
from types import CodeType

from torch import fx


def failed_operation(module: fx.GraphModule, error: BaseException) -> str | None:
    """Returns type and name of the operation that raised `error` in a run of `module`, if that can be told.

    It is the innermost, where blocks of control flow lie in each other.
    """
    graphs: dict[CodeType, fx.Graph] = {
        type(part).forward.__code__: part.graph
        for part in module.modules()
        if isinstance(part, fx.GraphModule)
    }
    found = None
    for frame, number in traceback.walk_tb(error.__traceback__):
        graph = graphs.get(frame.f_code)
        if graph is not None:
            (line,) = traceback.StackSummary.extract(iter([(frame, number)]))
            found = _operation(graph, line.line or "") or found
    return found


def _operation(graph: fx.Graph, line: str) -> str | None:
    """Returns the operation that a line of code computes, which assigns it to the name of its node."""
    name = line.partition(" = ")[0].strip()
    node = next((node for node in graph.nodes if node.name == name and "operation" in node.meta), None)
    return None if node is None else f"{node.meta['operation']} {node.meta['value'].name!r}"
