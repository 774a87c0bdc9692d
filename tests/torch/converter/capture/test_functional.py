"""Programs of views and changes in place, drawn at random, compute what they compute when they run.

Nothing in them rounds differently for another layout of the same values.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from torch import nn

from mlpress.converter.capture import capture
from tests.torch.converter.capture.checks import assert_clean, assert_equal

Tensor = torch.Tensor

VIEWS: dict[str, Callable[[Tensor], Tensor]] = {
    "rows": lambda x: x[:2],
    "last row": lambda x: x[-1:],
    "transposed": lambda x: x.transpose(0, 1),
    "flat": lambda x: x.reshape(-1)[None],
    "half": lambda x: x.chunk(2, 1)[0],
}
CHANGES: dict[str, Callable[[Tensor, Tensor], object]] = {
    "relu_": lambda x, other: x.relu_(),
    "add_": lambda x, other: x.add_(other.amax()),
    "mul_": lambda x, other: x.mul_(2),
    "copy_": lambda x, other: x.copy_(other.amax() * torch.ones(1, dtype=torch.float64)),
    "set": lambda x, other: x.__setitem__((0, 0), other.amin()),
}
STEP = st.tuples(st.sampled_from([*VIEWS, *CHANGES, "new"]), st.integers(0, 7), st.integers(0, 7))


class Steps(nn.Module):
    """Keeps a list of tensors; each step adds one to it or changes one of it."""

    def __init__(self, steps: list[tuple[str, int, int]]) -> None:
        super().__init__()
        self.steps = steps
        self.register_buffer("state", torch.arange(12.0).reshape(3, 4) - 5)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        tensors = [x * 1, self.state]
        for kind, first, second in self.steps:
            chosen, other = tensors[first % len(tensors)], tensors[second % len(tensors)]
            if kind in VIEWS:
                tensors.append(VIEWS[kind](chosen))
            elif kind in CHANGES:
                CHANGES[kind](chosen, other)
            else:
                tensors.append(chosen + other.amax())
        return tuple(tensor * 1 for tensor in tensors)


@settings(max_examples=25, deadline=None, phases=[Phase.generate, Phase.explicit], derandomize=False)
@given(st.lists(STEP, min_size=1, max_size=8))
def test_changes_in_place(steps: list[tuple[str, int, int]]) -> None:
    module, inputs = Steps(steps).eval(), (torch.arange(12.0).reshape(3, 4) / 7,)
    captured = capture(module, inputs)
    assert_equal(captured, module, inputs)
    assert_clean(captured)


class Quantile(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.quantile(x, 0.3, dim=1)


def test_changes_through_views_inside_of_an_operator_are_followed() -> None:
    """`quantile` changes parts of a result that it has just made."""
    x = torch.randn(3, 4)
    graph = capture(Quantile().eval(), x)
    assert_clean(graph)
    torch.testing.assert_close(graph.graph_module(x)[0], torch.quantile(x, 0.3, dim=1))
