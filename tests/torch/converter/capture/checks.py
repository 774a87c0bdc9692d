"""What has to hold for every captured graph."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import fx, nn
from torch.utils import _pytree as pytree

from mlpress.converter.capture import Captured


class Comparing(fx.Interpreter):
    """Runs a graph and compares what each node gives with what the graph says."""

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        if n.op != "output" and not isinstance(result, fx.GraphModule):
            for real, fake in zip(pytree.tree_leaves(result), pytree.tree_leaves(n.meta["val"]), strict=True):
                if isinstance(real, torch.Tensor):
                    assert real.dtype == fake.dtype, n.format_node()
                    static = [
                        (a, b) for a, b in zip(real.shape, fake.shape, strict=True) if isinstance(b, int)
                    ]
                    assert all(a == b for a, b in static), n.format_node()
        return result


def run(captured: Captured, inputs: Any) -> tuple[list[torch.Tensor], dict[str, torch.Tensor]]:
    """Outputs, and states afterwards by name."""
    tensors = [leaf for leaf in pytree.tree_leaves(inputs) if isinstance(leaf, torch.Tensor)]
    states = [state.initial.clone() for state in captured.states]
    results = Comparing(captured.graph_module).run(*tensors, *states)
    return [results[o.position] for o in captured.outputs], {
        s.name: results[s.position] for s in captured.states
    }


def assert_equal(captured: Captured, module: nn.Module, inputs: Any, *, tolerance: float = 0) -> None:
    """The graph gives what the module gives, states included."""
    module, given = copy.deepcopy(module), copy.deepcopy(inputs)
    with torch.no_grad():
        expected = module(**given) if isinstance(given, dict) else module(*given)
        outputs, states = run(captured, inputs)
    for actual, wanted in zip(outputs, pytree.tree_leaves(expected), strict=True):
        torch.testing.assert_close(
            torch.as_tensor(actual), torch.as_tensor(wanted), rtol=tolerance, atol=tolerance
        )
    for name, value in states.items():
        torch.testing.assert_close(value, module.get_buffer(name), rtol=tolerance, atol=tolerance)


def operators(captured: Captured) -> list[str]:
    """Names of the operators in the graph, in order."""
    return [str(node.target) for node in captured.graph.nodes if node.op == "call_function"]


def assert_clean(captured: Captured) -> None:
    """Nothing in the graph changes a tensor or does nothing."""
    captured.graph.lint()
    for node in captured.graph.nodes:
        if isinstance(node.target, torch._ops.OpOverload):
            assert not node.target._schema.is_mutable, node.format_node()
            name = node.target._schema.name.removeprefix("aten::")
            assert name not in {
                "detach",
                "alias",
                "clone",
                "dropout",
                "contiguous",
                "view",
                "lift_fresh_copy",
            }
            assert not name.startswith("_assert")
