"""Ops compile without a break in the graph, and keep to it when sizes change."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import fx

from tests.torch.ops.example import Example, arguments, as_run, leaves
from tests.torch.ops.examples import EXAMPLES

COMPILED = (
    "avg_pool",
    "batch_norm",
    "conv",
    "conv_transpose",
    "gather",
    "layer_norm",
    "linear",
    "max_pool",
    "reduce_prod",
    "reshape",
    "scaled_dot_product_attention",
    "slice_by_index",
    "softmax",
)


def _examples() -> list[Example]:
    """Returns the last example of each op in `COMPILED`: the later, the more unusual."""
    return [[example for example in EXAMPLES if example.op == name][-1] for name in COMPILED]


def _run_tensor(array: Any) -> torch.Tensor:
    return as_run(torch.from_numpy(np.asarray(array)))


def _module(example: Example) -> tuple[fx.GraphModule, list[torch.Tensor]]:
    """Returns the call as a graph, in which plain values are constants, and the tensors that it takes."""
    graph, tensors, bound = fx.Graph(), [], {}
    for name, value in arguments(example, _run_tensor).items():
        bound[name] = value
        if isinstance(value, torch.Tensor):
            bound[name] = graph.placeholder(name)
            tensors.append(value)
    graph.output(graph.call_function(example.version.function, (), bound))
    return fx.GraphModule(torch.nn.Module(), graph), tensors


@pytest.mark.parametrize("example", _examples(), ids=str)
def test_ops_compile_as_one_graph_for_any_size(example: Example) -> None:
    torch.compiler.reset()
    module, tensors = _module(example)
    compiled = torch.compile(module, backend="eager", fullgraph=True, dynamic=True)
    for ours, theirs in zip(leaves(compiled(*tensors)), leaves(module(*tensors)), strict=True):
        torch.testing.assert_close(ours, theirs)
