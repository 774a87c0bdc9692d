"""Which linear layers of a traced graph are replaced, what becomes part of them, and that results stay."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn
from torch._inductor import config

from mlpress.kernels import conv
from mlpress.runtime.linears import replace_linears
from mlpress.runtime.native_ops import LINEAR


@pytest.fixture(autouse=True)
def one_thread_of_a_fast_machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(conv, "is_fast", lambda: True)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)
    torch.compiler.reset()


def traced(function: Callable[..., Tensor], *inputs: Tensor, **options: Any) -> tuple[list[Any], Tensor]:
    """Traces `function`, replaces linear layers, and runs it without compiling.

    Returns whether a residual and a ReLU are part of each layer that was replaced, and the result.
    """
    seen: list[fx.GraphModule] = []

    def backend(graph: fx.GraphModule, _: Any) -> fx.GraphModule:
        replace_linears(graph)
        seen.append(graph)
        return graph

    with torch.inference_mode(), config.patch(freezing=True):
        result = torch.compile(function, backend=backend, fullgraph=True, **options)(*inputs)
    calls = seen[-1].graph.find_nodes(op="call_function", target=LINEAR)
    return [(call.args[3] is not None, call.args[4]) for call in calls], result


class Layers(nn.Module):
    """A block of a transformer without its attention."""

    def __init__(self) -> None:
        super().__init__()
        self.wide, self.narrow = nn.Linear(24, 48), nn.Linear(48, 32, bias=False)
        self.around = nn.Linear(24, 32)

    def forward(self, x: Tensor) -> Tensor:
        return torch.add(self.narrow(torch.relu(self.wide(x))), self.around(x))


@pytest.mark.parametrize("dynamic", [False, True])
@pytest.mark.parametrize("shape", [(24,), (5, 24), (2, 3, 24), (2, 1, 3, 24), (0, 24)])
def test_additions_and_relu_become_part_of_a_layer(shape: tuple[int, ...], dynamic: bool) -> None:
    layers, x = Layers(), torch.randn(shape)
    with torch.inference_mode():
        wanted = layers(x)
    fused, found = traced(layers, x, dynamic=dynamic)
    assert (False, True) in fused and len(fused) == 3
    assert dynamic or (True, False) in fused  # of unknown sizes, an addition may broadcast
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)


def test_rows_that_do_not_follow_each_other_in_memory() -> None:
    layer, x = nn.Linear(24, 16), torch.randn(24, 7).T
    fused, found = traced(layer, x)
    assert fused == [(False, False)]
    torch.testing.assert_close(found, layer(x).detach(), rtol=1e-5, atol=1e-5)


def test_features_that_fill_no_vector_are_left_to_torch() -> None:
    assert traced(nn.Linear(16, 10), torch.randn(2, 16))[0] == []


def test_a_weight_that_is_computed_is_left_to_torch() -> None:
    assert traced(lambda x, w: F.linear(x, w), torch.randn(2, 16), torch.randn(16, 16))[0] == []


def test_several_threads_are_left_to_torch() -> None:
    torch.set_num_threads(2)
    assert traced(nn.Linear(16, 16), torch.randn(2, 16))[0] == []


def test_inductor_compiles_what_comes_of_it() -> None:
    from mlpress.runtime.compiled import compiled

    layers = fx.symbolic_trace(Layers().eval())
    with torch.inference_mode():
        for rows in (3, 6):
            x = torch.randn(rows, 24)
            torch.testing.assert_close(compiled(layers)(x), layers(x), rtol=1e-5, atol=1e-5)
