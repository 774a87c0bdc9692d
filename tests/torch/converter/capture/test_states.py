"""Buffers that a model changes."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from mlpress.converter.capture import capture
from tests.torch.converter.capture.checks import assert_equal, run
from tests.torch.converter.capture.networks import NETWORKS, made


def test_changed_buffers_are_states_and_keep_their_names() -> None:
    module = made("cache")
    captured = capture(module, NETWORKS["cache"].inputs)
    assert [state.name for state in captured.states] == ["keys", "values"]
    assert all(state.initial is module.get_buffer(state.name) for state in captured.states)
    placeholders = captured.graph.find_nodes(op="placeholder")
    assert list(placeholders) == [given.node for given in (*captured.inputs, *captured.states)]


def test_states_carry_over_from_call_to_call() -> None:
    module = made("cache")
    captured = capture(module, NETWORKS["cache"].inputs)
    states = [state.initial.clone() for state in captured.states]
    for position in range(5):
        inputs = torch.randn(1, 1, 4), torch.tensor([position])
        output, *states = captured.graph_module(*inputs, *states)
        torch.testing.assert_close(output, module(*inputs))


class Counter(nn.Module):
    """A buffer that is there under two names and changes under both, and one that is only replaced."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Module()
        self.register_buffer("count", torch.zeros(2))
        self.inner.register_buffer("count", self.count)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.count.add_(x)
        self.inner.count[0] = 0
        return self.count * 1


def test_a_buffer_with_two_names_is_one_state() -> None:
    captured = capture(Counter().eval(), torch.ones(2))
    assert [state.name for state in captured.states] == ["count"]
    assert_equal(captured, Counter(), (torch.ones(2),))


class Assigned(nn.Module):
    """What was read before an assignment keeps its value."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("last", torch.ones(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        before = self.last
        self.last = x * 2
        return before + self.last


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_script_may_assign_a_buffer() -> None:
    captured = capture(torch.jit.script(Assigned().eval()), torch.tensor([1.0, 2.0]))
    outputs, states = run(captured, (torch.tensor([1.0, 2.0]),))
    assert outputs[0].tolist() == [3, 5]
    assert states["last"].tolist() == [2, 4]


def test_an_unread_state_keeps_its_new_value() -> None:
    class Writer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("seen", torch.zeros(2, dtype=torch.int64))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.seen.copy_(x)
            return x + 1

    captured = capture(Writer().eval(), torch.tensor([3, 4]))
    assert_equal(captured, Writer(), (torch.tensor([3, 4]),))
    assert [state.name for state in captured.states] == ["seen"]


def test_what_is_copied_into_a_buffer_is_cast_and_broadcast() -> None:
    class Filled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("level", torch.zeros(2, 3))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.level.copy_(x.double().sum(1))
            return self.level + 1

    captured = capture(Filled().eval(), torch.ones(3, 2))
    assert_equal(captured, Filled(), (torch.randn(3, 2),))
