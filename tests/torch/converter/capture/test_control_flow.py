"""`torch.cond` and `while_loop` in a user's own code."""

from __future__ import annotations

import pytest
import torch
from torch import fx, nn
from torch._higher_order_ops.while_loop import while_loop

from mlpress.converter.capture import Captured, capture
from tests.torch.converter.capture.checks import assert_equal, operators


class Choice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        def positive(x: torch.Tensor) -> torch.Tensor:
            return self.layer(x).relu_().contiguous()

        def negative(x: torch.Tensor) -> torch.Tensor:
            return x.reshape(-1).view(x.shape) - torch.arange(4)

        return torch.cond(x.sum() > 0, positive, negative, (x,)) + 1


class Doubling(nn.Module):
    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        def unfinished(count: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
            return (count < 10) & (x.sum() < 100)

        def step(count: torch.Tensor, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return count + 1, x * 2

        return while_loop(unfinished, step, (torch.tensor(0), x))


def subgraphs(captured: Captured) -> list[fx.GraphModule]:
    return [child for child in captured.graph_module.modules() if isinstance(child, fx.GraphModule)][1:]


@pytest.mark.parametrize("sign", [1, -1])
def test_cond(sign: int) -> None:
    module = Choice().eval()
    captured = capture(module, torch.ones(2, 4))
    assert_equal(captured, module, (torch.ones(2, 4) * sign,))
    assert "cond" in operators(captured)


@pytest.mark.parametrize("start", [0.1, 3.0])
def test_while_loop(start: float) -> None:
    captured = capture(Doubling().eval(), torch.ones(2, 4))
    assert_equal(captured, Doubling(), (torch.full((2, 4), start),))
    assert "while_loop" in operators(captured)


@pytest.mark.parametrize("module", [Choice(), Doubling()], ids=["cond", "while_loop"])
def test_the_graphs_inside_are_clean_too(module: nn.Module) -> None:
    inside = subgraphs(capture(module.eval(), torch.ones(2, 4)))
    assert len(inside) == 2
    for graph in (each.graph for each in inside):
        names = {str(node.target) for node in graph.nodes}
        assert not names & {"aten.clone.default", "aten.view.default", "aten.relu_.default"}
        assert all("val" in node.meta for node in graph.nodes if node.op != "output")
