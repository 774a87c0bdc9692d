"""What no optimizer changes: the float model, and layers that cannot be compressed as asked."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from mlpress.errors import StrictError
from mlpress.nn.metadata import encodings
from mlpress.optimize.torch import layerwise_compression, palettization, pruning, quantization
from tests.torch.optimize.training_loop import same_state


class Net(nn.Module):
    """Two layers that can be compressed, and one of a type that packages do not have."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.odd, self.last = nn.Linear(16, 32), nn.Linear(32, 32).double(), nn.Linear(32, 8)
        self.dropout = nn.Dropout(0.5).eval()

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        hidden = torch.relu(self.first(self.dropout(inputs)))
        return self.last(torch.relu(self.odd(hidden.double())).float())


DATA = [torch.randn(8, 16, generator=torch.Generator().manual_seed(seed)) for seed in range(4)]


def loss(model: nn.Module, inputs: torch.Tensor) -> torch.Tensor:
    return model(inputs).square().mean()


def made(home: Any, kind: str, model: nn.Module, **config: Any) -> Any:
    return getattr(home, kind)(model, getattr(home, f"{kind}Config").from_dict({"global_config": config}))


def trained(home: Any, kind: str, *arguments: Any, **config: Any) -> Callable[..., tuple[Any, nn.Module]]:
    def compress(model: nn.Module, **how: Any) -> tuple[Any, nn.Module]:
        optimizer = made(home, kind, model, **config)
        prepared = optimizer.prepare(*arguments, **how)
        for inputs in DATA:
            loss(prepared, inputs).backward()
            optimizer.step()
        how.pop("strict", None)
        return optimizer, optimizer.finalize(**how)

    return compress


def at_once(home: Any, kind: str, *arguments: Any, **config: Any) -> Callable[..., tuple[Any, nn.Module]]:
    def compress(model: nn.Module, **how: Any) -> tuple[Any, nn.Module]:
        optimizer = made(home, kind, model, **config)
        return optimizer, optimizer.compress(*arguments, **how)

    return compress


OPTIMIZERS = {
    "PostTrainingPalettizer": at_once(palettization, "PostTrainingPalettizer", n_bits=2),
    "PostTrainingQuantizer": at_once(quantization, "PostTrainingQuantizer"),
    "SKMPalettizer": at_once(palettization, "SKMPalettizer", DATA, loss, n_bits=2),
    "GPTQ": at_once(layerwise_compression, "LayerwiseCompressor", DATA, "cpu", algorithm="gptq"),
    "SparseGPT": at_once(layerwise_compression, "LayerwiseCompressor", DATA, "cpu", algorithm="sparse_gpt"),
    "MagnitudePruner": trained(pruning, "MagnitudePruner"),
    "DKMPalettizer": trained(palettization, "DKMPalettizer", n_bits=2, weight_threshold=0),
    "LinearQuantizer": trained(quantization, "LinearQuantizer", (DATA[0],), activation_dtype="float32"),
}
each = pytest.mark.parametrize("compress", OPTIMIZERS.values(), ids=OPTIMIZERS)


@each
def test_the_float_model_is_not_changed(compress: Callable[..., tuple[Any, nn.Module]]) -> None:
    model = Net()
    before = copy.deepcopy(model)
    _, compressed = compress(model)
    assert compressed is not model
    assert set(encodings(compressed.state_dict())) == {"first.weight", "last.weight"}
    assert same_state(model, before)
    modules = zip(model.modules(), before.modules(), strict=True)
    assert all((type(one), one.training) == (type(other), other.training) for one, other in modules)
    assert all(parameter.grad is None and parameter.requires_grad for parameter in model.parameters())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    kept = {parameter.data_ptr() for parameter in model.parameters()}
    assert not kept & {parameter.data_ptr() for parameter in compressed.parameters()}


@each
def test_in_place_is_the_model_itself(compress: Callable[..., tuple[Any, nn.Module]]) -> None:
    model = Net()
    parameters = set(map(id, model.parameters()))
    _, compressed = compress(model, inplace=True)
    assert compressed is model
    assert set(encodings(model.state_dict())) == {"first.weight", "last.weight"}
    assert set(map(id, model.parameters())) == parameters


@each
def test_what_cannot_be_compressed_is_left_and_reported(
    compress: Callable[..., tuple[Any, nn.Module]],
) -> None:
    model = Net()
    optimizer, compressed = compress(model)
    reason = "it is torch.float64; float16 and float32 weights can be compressed"
    assert list(optimizer.report().skipped) == ["odd.weight"]
    assert optimizer.report().skipped["odd.weight"].endswith(reason)
    assert type(compressed.odd) is nn.Linear
    assert torch.equal(compressed.odd.weight, model.odd.weight)
    assert repr(optimizer.report()).splitlines()[-1].startswith("skipped odd.weight: ")


@each
def test_strict_makes_it_an_error(compress: Callable[..., tuple[Any, nn.Module]]) -> None:
    model = Net()
    before = copy.deepcopy(model)
    with pytest.raises(StrictError, match=r"1 parameters cannot be compressed as asked: odd\.weight: "):
        compress(model, strict=True)
    assert same_state(model, before)
