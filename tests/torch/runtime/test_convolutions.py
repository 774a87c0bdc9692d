"""Which convolutions of a traced graph are replaced, what becomes part of them, and that results stay."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, fx, nn
from torch._inductor import config

from mlpress.kernels import conv
from mlpress.runtime.convolutions import replace_convolutions
from mlpress.runtime.native_ops import POINTWISE, WINOGRAD


@dataclass
class Traced:
    """How often a graph calls the operators, and what it computes."""

    pointwise: int
    winograd: int
    torchs: int
    fused: list[tuple[bool, bool]]
    result: Tensor


@pytest.fixture(autouse=True)
def one_thread_of_a_fast_machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(conv, "is_fast", lambda: True)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)
    torch.compiler.reset()


def traced(function: Callable[..., Tensor], *inputs: Tensor, **options: Any) -> Traced:
    """Traces `function`, replaces convolutions, and runs what comes of it without compiling it."""
    seen: list[fx.GraphModule] = []

    def backend(graph: fx.GraphModule, _: Any) -> fx.GraphModule:
        replace_convolutions(graph)
        seen.append(graph)
        return graph

    with torch.inference_mode(), config.patch(freezing=True):
        result = torch.compile(function, backend=backend, fullgraph=True, **options)(*inputs)
    calls = [node for node in seen[-1].graph.nodes if node.op == "call_function"]
    count = Counter(node.target for node in calls)
    fused = [
        (node.args[3] is not None, node.args[4]) for node in calls if node.target in (POINTWISE, WINOGRAD)
    ]
    return Traced(count[POINTWISE], count[WINOGRAD], count[torch.convolution], fused, result)


class Convolution(nn.Module):
    """The convolution as the op of a program calls it."""

    def __init__(
        self,
        into: int,
        out: int,
        window: int,
        *,
        stride: int = 1,
        pad: int = 0,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out, into // groups, window, window) / (window * into**0.5))
        self.bias = nn.Parameter(torch.randn(out)) if bias else None
        self.options = ([stride] * 2, [pad] * 2, [1, 1], False, [0, 0], groups)

    def forward(self, x: Tensor) -> Tensor:
        return torch.convolution(x, self.weight, self.bias, *self.options)


class Block(nn.Module):
    """Two ways that meet, as residual networks have them."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.narrow, self.middle = Convolution(32, 16, 1), Convolution(16, 16, 3, pad=1, bias=False)
        self.wide, self.around = Convolution(16, 64, 1), Convolution(32, 64, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.middle(torch.relu(self.narrow(x))))
        return torch.relu(torch.add(self.wide(y), self.around(x)))


def close(found: Tensor, wanted: Tensor) -> None:
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)


def test_additions_and_relu_become_part_of_a_convolution() -> None:
    block, x = Block(), torch.randn(2, 32, 12, 17)
    found = traced(block, x)
    assert (found.pointwise, found.winograd, found.torchs) == (3, 1, 0)
    assert sorted(found.fused) == [(False, False), (False, True), (False, True), (True, True)]
    with torch.inference_mode():
        close(found.result, block(x))


def test_what_is_used_twice_is_not_fused() -> None:
    convolution, x = Convolution(16, 16, 1), torch.randn(1, 16, 5, 5)

    def function(x: Tensor) -> Tensor:
        y = convolution(x)
        return torch.relu(y) + y

    found = traced(function, x)
    assert found.fused == [(False, False)]
    with torch.inference_mode():
        close(found.result, function(x))


def test_an_addition_that_broadcasts_is_not_fused() -> None:
    convolution, x, y = Convolution(16, 16, 1), torch.randn(1, 16, 5, 5), torch.randn(3, 1, 5, 5)

    def function(x: Tensor, y: Tensor) -> Tensor:
        return torch.add(y, convolution(x))

    found = traced(function, x, y)
    assert found.fused == [(False, False)]
    with torch.inference_mode():
        close(found.result, function(x, y))


def test_a_number_is_not_fused() -> None:
    convolution, x = Convolution(16, 16, 1), torch.randn(1, 16, 5, 5)
    found = traced(lambda x, size: torch.add(convolution(x), x.shape[3]), x, x, dynamic=True)
    assert found.fused == [(False, False)]
    with torch.inference_mode():
        close(found.result, convolution(x) + 5)


def test_strides_of_one_by_one_windows_choose_rows_and_columns() -> None:
    convolution, x = Convolution(20, 32, 1, stride=2), torch.randn(2, 20, 9, 12)
    found = traced(convolution, x)
    assert found.pointwise == 1
    with torch.inference_mode():
        close(found.result, convolution(x))


@pytest.mark.parametrize("batch", [1, 3])
def test_images_of_unknown_size(batch: int) -> None:
    convolution, x = Convolution(16, 16, 1), torch.randn(batch, 16, 6, 7)
    found = traced(lambda x: torch.relu(convolution(x)), x, dynamic=True)
    assert found.fused == [(False, True)]
    with torch.inference_mode():
        close(found.result, torch.relu(convolution(x)))


@pytest.mark.parametrize(
    "convolution, size",
    [
        (Convolution(16, 8, 1), 16),  # channels that fill no vector
        (Convolution(16, 16, 1, pad=1), 16),
        (Convolution(16, 16, 1, groups=2), 16),
        (Convolution(8, 16, 3, pad=1), 16),
        (Convolution(16, 16, 3), 16),
        (Convolution(16, 16, 3, pad=1, stride=2), 16),
        (Convolution(16, 16, 3, pad=1), 12),  # too few tiles for so large a weight
        (Convolution(16, 16, 5, pad=2), 16),
    ],
)
def test_others_are_left_to_torch(convolution: Convolution, size: int) -> None:
    found = traced(
        convolution, torch.randn(1, convolution.weight.shape[1] * convolution.options[-1], size, size)
    )
    assert (found.pointwise, found.winograd, found.torchs) == (0, 0, 1)


def test_a_weight_that_is_computed_is_left_to_torch() -> None:
    found = traced(
        lambda x, w: torch.convolution(x, w, None, [1, 1], [0, 0], [1, 1], False, [0, 0], 1),
        torch.randn(1, 16, 4, 4),
        torch.randn(16, 16, 1, 1),
    )
    assert found.torchs == 1


def test_several_threads_are_left_to_torch() -> None:
    torch.set_num_threads(2)
    assert traced(Convolution(16, 16, 1), torch.randn(1, 16, 4, 4)).torchs == 1
