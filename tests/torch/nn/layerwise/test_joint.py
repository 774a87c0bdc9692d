"""Layerwise compression of weights that are pruned, shared, or not finite."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from mlpress.encoding import decode, describe
from mlpress.nn.calibration.sparse_gpt import SparseGPTOptions, sparse_gpt
from mlpress.nn.metadata import encodings
from mlpress.optimize.torch.layerwise_compression import LayerwiseCompressor, LayerwiseCompressorConfig
from mlpress.optimize.torch.pruning import MagnitudePruner

UINT4 = {"algorithm": "gptq", "weight_dtype": "uint4"}
PRUNE = {"algorithm": "sparse_gpt", "weight_dtype": "float32"}


def compressor(model: nn.Module, **config: object) -> LayerwiseCompressor:
    return LayerwiseCompressor(model, LayerwiseCompressorConfig.from_dict({"global_config": config}))


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def check_decoded(model: nn.Module) -> None:
    for name, encoding in encodings(model.state_dict()).items():
        np.testing.assert_array_equal(model.get_parameter(name).detach().numpy(), decode(encoding))


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (UINT4, "sparse 50% · uint4 · 8 scales · offset"),
        ({**UINT4, "use_activation_order_heuristic": True}, "sparse 50% · uint4 · 8 scales · offset"),
        (
            {"algorithm": "sparse_gpt", "weight_dtype": "float32", "target_sparsity": 0.75},
            "sparse 75% · float32",
        ),
    ],
    ids=str,
)
def test_a_pruned_weight_keeps_its_zeros(config: dict[str, object], expected: str) -> None:
    torch.manual_seed(0)
    pruner = MagnitudePruner(nn.Sequential(nn.Linear(32, 8)))
    pruner.prepare(inplace=True)
    pruner.step()
    model = pruner.finalize(inplace=True)
    compressed = compressor(model, **config).compress([draw(64, 32)], "cpu")
    assert describe(encodings(compressed.state_dict())["0.weight"]) == expected
    assert not compressed[0].weight[model[0].weight == 0].any()
    check_decoded(compressed)


@pytest.mark.parametrize("options", [SparseGPTOptions(0.5), SparseGPTOptions(n_m_ratio=(2, 4))], ids=str)
def test_zeros_stay_zeros(options: SparseGPTOptions) -> None:
    weight, inputs = draw(16, 256), draw(512, 256, seed=1) @ draw(256, 256, seed=2)
    weight[draw(16, 256, seed=3) < 0] = 0
    result = sparse_gpt(weight, inputs.T @ inputs, options)
    assert not result.values[weight == 0].any()


def test_patterns_go_on_across_groups() -> None:
    inputs = draw(600, 302, seed=1)
    result = sparse_gpt(draw(16, 302), inputs.T @ inputs, SparseGPTOptions(n_m_ratio=(1, 3)))
    assert (result.mask[:, :300].reshape(16, 100, 3).sum(-1) == 2).all()
    assert result.mask[:, 300:].all()  # completed by a zero, which goes first


def test_nothing_is_dropped_where_nothing_is_asked_for() -> None:
    inputs = draw(200, 64, seed=1)
    assert sparse_gpt(draw(16, 64), inputs.T @ inputs, SparseGPTOptions(sparsity=0)).mask.all()


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Linear(16, 16, bias=False), nn.Linear(16, 16, bias=False)
        self.embedding = nn.Embedding(16, 16)
        self.second.weight = self.embedding.weight = self.first.weight

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.second(torch.relu(self.first(self.embedding(tokens))))


def test_a_shared_weight_is_compressed_once_and_described_wherever_it_is() -> None:
    tokens = torch.randint(0, 16, (8, 8), generator=torch.Generator().manual_seed(0))
    compressed = compressor(Tied(), **UINT4).compress([tokens], "cpu")
    assert set(encodings(compressed.state_dict())) == {"first.weight", "second.weight", "embedding.weight"}
    check_decoded(compressed)


def test_a_weight_that_is_not_finite_is_left() -> None:
    model = nn.Sequential(nn.Linear(16, 8))
    with torch.no_grad():
        model[0].weight[0, 0] = torch.nan
    optimizer = compressor(model, **UINT4)
    compressed = optimizer.compress([draw(32, 16)], "cpu")
    assert optimizer.report().skipped == {"0.weight": "it holds NaN or infinity"}
    assert torch.equal(compressed[0].weight.nan_to_num(), model[0].weight.nan_to_num())
