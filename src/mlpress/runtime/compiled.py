"""Whole graphs compiled by torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import torch
from torch import fx

from mlpress.runtime.convolutions import replace_convolutions
from mlpress.runtime.linears import replace_linears

_SETTINGS: Final = {
    "freezing": True,  # weights are constants, laid out once as their operators like them
    "size_asserts": False,  # checks of torch's own work, which take longer than a small operator
    "alignment_asserts": False,
}


def compiled(module: fx.GraphModule) -> Callable[..., Any]:
    """Returns `module` compiled as one graph for inference, its weights constants of the code.

    It is compiled at the first call, and again for inputs of another shape. Each call uses the states that
    `module` has by then.
    """
    from torch._inductor import config  # takes a second, which only those who compile should wait

    lifted, states = _states_as_inputs(module)
    run = torch.compile(lifted, backend=_compile)
    settings = {name: value for name, value in _SETTINGS.items() if hasattr(config, name)}

    def call(*arguments: Any) -> Any:
        # What traces the module asks for it, too: as options of the backend they would come too late.
        with config.patch(settings):
            return run(*(getattr(module, path) for path in states), *arguments)

    return call


def _compile(graph: fx.GraphModule, inputs: Sequence[Any]) -> Any:
    from torch._inductor.compile_fx import compile_fx

    replace_convolutions(graph)
    replace_linears(graph)
    return compile_fx(graph, inputs)


def _states_as_inputs(module: fx.GraphModule) -> tuple[fx.GraphModule, list[str]]:
    """Returns `module` with its states as its first inputs, and their paths in `module`.

    As parts of it they would be constants like all the rest, and it would be compiled for each state anew.
    """
    graph = fx.Graph()
    graph.output(graph.graph_copy(module.graph, {}))
    states = [node for node in graph.nodes if "state" in node.meta]
    with graph.inserting_before(next(iter(graph.nodes))):
        for node in states:
            node.replace_all_uses_with(graph.placeholder(node.meta["state"]))
    for node in states:
        graph.erase_node(node)
    return fx.GraphModule(module, graph), [str(node.target) for node in states]
