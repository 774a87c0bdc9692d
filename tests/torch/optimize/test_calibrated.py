"""Compression of a trained model with the help of data."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from mlpress.encoding import decode, describe
from mlpress.errors import RecipeError, StrictError
from mlpress.nn.metadata import encodings
from mlpress.optimize.torch.layerwise_compression import (
    FirstLayerInputCacher,
    LayerwiseCompressor,
    LayerwiseCompressorConfig,
)
from mlpress.optimize.torch.palettization import SKMPalettizer, SKMPalettizerConfig
from mlpress.optimize.torch.pruning import MagnitudePruner
from tests.torch.optimize.training_loop import batch, network, same_state

DATA = [batch(index)[0] for index in range(8)]
SAMPLES = [batch(index) for index in range(8)]
GROUPS = {"granularity": "per_grouped_channel", "group_size": 8}
BLOCKS = {"granularity": "per_block", "block_size": 32}
UINT4 = {"algorithm": "gptq", "weight_dtype": "uint4"}


def loss(model: nn.Module, sample: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    inputs, labels = sample
    return nn.functional.cross_entropy(model(inputs), labels)


def palettizer(model: nn.Module, **config: object) -> SKMPalettizer:
    return SKMPalettizer(model, SKMPalettizerConfig.from_dict({"global_config": config}))


def compressor(model: nn.Module, layers: object = None, **config: object) -> LayerwiseCompressor:
    data = {"global_config": config or None, "layers": layers, "calibration_nsamples": 8}
    return LayerwiseCompressor(model, LayerwiseCompressorConfig.from_dict(data))


def described(model: nn.Module) -> dict[str, str]:
    return {name: describe(encoding) for name, encoding in encodings(model.state_dict()).items()}


def check_decoded(model: nn.Module) -> None:
    for name, encoding in encodings(model.state_dict()).items():
        np.testing.assert_array_equal(model.get_parameter(name).detach().numpy(), decode(encoding))


# ---- sensitive k-means


def test_sensitivity_is_the_sum_of_squared_gradients() -> None:
    model = network()
    before = copy.deepcopy(model)
    found = palettizer(model).compute_sensitivity(SAMPLES, loss)
    assert same_state(model, before)
    assert all(parameter.grad is None for parameter in model.parameters())
    squares = torch.zeros_like(model[6].weight)
    for sample in SAMPLES:
        (gradient,) = torch.autograd.grad(loss(before, sample), before[6].weight)
        squares += gradient.square()
    torch.testing.assert_close(found["6.weight"], squares / squares.max())


def test_clusters_follow_what_matters() -> None:
    model = nn.Sequential(nn.Linear(4, 64, bias=False))
    values = model[0].weight.detach().clone()
    optimizer = palettizer(model, n_bits=2)
    important = torch.full_like(values, 1e-6)
    important[values > 0.2] = 1.0
    torch.manual_seed(0)
    path_less = optimizer.compress(SAMPLES, lambda m, _: (m[0].weight * important.sqrt()).sum())
    error = (path_less[0].weight - values).square()
    assert error[values > 0.2].mean() < 0.1 * error[values <= 0.2].mean()


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"n_bits": 4}, "4-bit palette · float32 table"),
        ({"n_bits": 2, **GROUPS}, "2-bit palette x4 · float32 table"),
        ({"n_bits": 2, **GROUPS, "channel_axis": 1}, "2-bit palette x32 · float32 table"),
        ({"n_bits": 3, "cluster_dim": 4}, "3-bit palette of 4-vectors · float32 table"),
        ({"n_bits": 3, "enable_per_channel_scale": True}, "3-bit palette · float32 table · 32 scales"),
        ({"n_bits": 4, "lut_dtype": "int8"}, "4-bit palette · int8 table"),
        ({"n_bits": 4, "lut_dtype": "uint8", "cluster_dim": 2}, "4-bit palette of 2-vectors · uint8 table"),
    ],
    ids=str,
)
def test_forms_of_sensitive_palettes(config: dict[str, object], expected: str) -> None:
    compressed = palettizer(network(), **config).compress(SAMPLES, loss)
    assert described(compressed)["4.weight"] == expected
    check_decoded(compressed)


def test_sensitivities_are_saved_and_loaded(tmp_path: Path) -> None:
    path = str(tmp_path / "sensitivity.pt")
    first = palettizer(network()).compress(SAMPLES, loss, sensitivity_path=path)
    again = palettizer(network()).compress(sensitivity_path=path)
    assert same_state(first, again)
    with pytest.raises(RecipeError, match="give dataloader and loss_fn"):
        palettizer(network()).compress()


def test_a_pruned_model_stays_pruned() -> None:
    pruner = MagnitudePruner(network())
    pruner.prepare()
    pruner.step()
    pruned = pruner.finalize()
    compressed = palettizer(pruned, n_bits=2).compress(SAMPLES, loss)
    assert described(compressed)["4.weight"] == "sparse 50% · 2-bit palette · float32 table"
    assert torch.equal(compressed[4].weight != 0, pruned[4].weight != 0)


def test_what_cannot_be_palettized_is_left() -> None:
    model = network()
    optimizer = palettizer(model, granularity="per_grouped_channel", group_size=32)
    compressed = optimizer.compress(SAMPLES, loss)
    assert torch.equal(compressed[0].weight, model[0].weight)
    reason = "palettize: group_size 32 does not divide the 16 channels of axis 0"
    assert optimizer.report().skipped["0.weight"] == reason
    with pytest.raises(StrictError, match=reason):
        optimizer.compress(SAMPLES, loss, strict=True)


# ---- layer by layer


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"algorithm": "gptq"}, "uint8 · 32 scales · offset"),
        ({"algorithm": "gptq", "weight_dtype": "int4"}, "int4 · 32 scales"),
        ({**UINT4, "granularity": "per_tensor"}, "uint4 · 1 scale · offset"),
        ({**UINT4, **BLOCKS}, "uint4 · 32x8 scales · offset"),
        ({**UINT4, "quantization_scheme": "affine"}, "uint4 · 32 scales · offset"),
        (
            {"algorithm": "gptq", "weight_dtype": "uint3", "enable_normal_float": True},
            "3-bit palette · float32 table · 32 scales",
        ),
        ({"algorithm": "sparse_gpt", "weight_dtype": "float32"}, "sparse 50% · float32"),
        ({"algorithm": "sparse_gpt"}, "sparse 50% · uint8 · 32 scales · offset"),
        (
            {"algorithm": "sparse_gpt", "n_m_ratio": [2, 4], "weight_dtype": "uint4"},
            "sparse 50% · uint4 · 32 scales · offset",
        ),
        (
            {"algorithm": "sparse_gpt", "weight_dtype": "uint4", "enable_normal_float": True},
            "sparse 51% · 4-bit palette · float32 table · 32 scales",
        ),
    ],
    ids=str,
)
def test_forms_of_layerwise_compression(config: dict[str, object], expected: str) -> None:
    model = network()
    before = copy.deepcopy(model)
    optimizer = compressor(model, **config)
    compressed = optimizer.compress(DATA, "cpu")
    assert same_state(model, before)
    skipped = optimizer.report().skipped
    assert set(skipped) == ({"0.weight"} if "block_size" in config else set())
    assert described(compressed)["4.weight"] == expected
    for name, encoding in encodings(compressed.state_dict()).items():
        values = compressed.get_parameter(name).detach().numpy()
        np.testing.assert_array_equal(values, decode(encoding))
    outputs, expected_outputs = compressed(DATA[0]), before(DATA[0])
    assert (outputs - expected_outputs).square().mean() < 0.5 * expected_outputs.square().mean()


class Residual(nn.Module):
    """Branches that meet, defined in another order than they are called in."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.head = nn.Linear(16, 4)
        self.blocks = nn.ModuleList(nn.Linear(16, 16) for _ in range(3))
        self.stem = nn.Linear(8, 16)
        self.unused = nn.Linear(3, 3)

    def forward(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        values = self.stem(first)
        for block in self.blocks:
            values = values + torch.relu(block(values))
        return self.head(values + self.stem(second))


_SEEDED = torch.Generator().manual_seed(0)
PAIRS = [tuple(torch.randn(2, 16, 8, generator=_SEEDED)) for _ in range(4)]


@pytest.mark.parametrize("layers", [None, ["stem", "blocks", "head"], [r"blocks\.\d"]], ids=str)
def test_a_residual_network(layers: object) -> None:
    model = Residual()
    optimizer = compressor(model, layers, algorithm="gptq", weight_dtype="uint4")
    compressed = optimizer.compress(PAIRS, "cpu")
    found = described(compressed)
    blocks = {f"blocks.{index}.weight" for index in range(3)}
    assert set(found) == blocks | (set() if layers == [r"blocks\.\d"] else {"stem.weight", "head.weight"})
    skipped = optimizer.report().skipped
    assert skipped == ({"unused.weight": "no input of it was seen"} if layers is None else {})
    check_decoded(compressed)


def test_a_layer_makes_up_for_those_before_it() -> None:
    """The head sees compressed blocks, whatever the order of definition."""
    model = Residual()
    together = compressor(model, algorithm="gptq", weight_dtype="uint3").compress(PAIRS, "cpu")
    alone = compressor(model, ["head"], algorithm="gptq", weight_dtype="uint3").compress(PAIRS, "cpu")
    assert not torch.equal(together.head.weight, alone.head.weight)


def test_arguments_by_name() -> None:
    named = [{"first": first, "second": second} for first, second in PAIRS]
    one = compressor(Residual(), algorithm="gptq").compress(named, "cpu")
    other = compressor(Residual(), algorithm="gptq").compress(PAIRS, "cpu")
    assert same_state(one, other)


class Decoder(nn.Module):
    """Layers that take an argument by name, behind an embedding."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embedding = nn.Embedding(10, 8)
        self.layers = nn.ModuleList(DecoderLayer() for _ in range(2))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        values = self.embedding(tokens)
        for layer in self.layers:
            (values,) = layer(values, scale=torch.tensor(0.5))
        return values


class DecoderLayer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(8, 8)

    def forward(self, values: torch.Tensor, scale: torch.Tensor) -> tuple[torch.Tensor]:
        return (values + scale * self.linear(values),)


def test_a_decoder_as_a_chain_and_as_it_is() -> None:
    tokens = [torch.randint(0, 10, (2, 6)) for _ in range(4)]
    config = {"algorithm": "gptq", "weight_dtype": "uint4"}
    found = []
    for cacher in ("gpt", "default"):
        data = {"global_config": config, "layers": [r"layers\.\d"], "input_cacher": cacher}
        optimizer = LayerwiseCompressor(Decoder(), LayerwiseCompressorConfig.from_dict(data))
        found.append(optimizer.compress(tokens, "cpu"))
    assert same_state(*found)


def test_a_cacher_of_ones_own() -> None:
    @FirstLayerInputCacher.register("zeros")
    class Zeros(FirstLayerInputCacher):
        def cache(self, dataloader, nsamples, device):
            return [torch.ones(4, 16) for _ in range(nsamples)], {}

    data = {"global_config": {"algorithm": "gptq"}, "layers": [r"blocks\.\d"], "input_cacher": "zeros"}
    optimizer = LayerwiseCompressor(Residual(), LayerwiseCompressorConfig.from_dict(data))
    compressed = optimizer.compress([], "cpu")
    assert len(described(compressed)) == 3


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"global_config": {"weight_dtype": "uint4"}}, "registered as None; allowed: gptq, sparse_gpt"),
        ({"global_config": {"algorithm": "gptq", "weight_dtype": "uint2"}}, "weight_dtype is 'uint2'"),
        ({"global_config": {"algorithm": "gptq", "granularity": "per_block"}}, "block_size goes with"),
        ({"global_config": {"algorithm": "gptq", "enable_normal_float": True}}, "types of 3 and 4 bits"),
        ({"global_config": {"algorithm": "sparse_gpt", "n_m_ratio": [3, 2]}}, "n is 0 to m"),
        ({"input_cacher": "bert"}, "registered as 'bert'; allowed: default, gpt"),
        ({"layers": "a"}, "allowed: a list of modules"),
    ],
)
def test_layerwise_configurations_that_make_no_sense(data: dict[str, object], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        LayerwiseCompressorConfig.from_dict(data)


def test_nothing_to_compress_or_nothing_to_compress_from() -> None:
    with pytest.raises(RecipeError, match="matches no module"):
        compressor(network(), ["nowhere"], algorithm="gptq").compress(DATA, "cpu")
    with pytest.raises(RecipeError, match="no samples"):
        compressor(network(), algorithm="gptq").compress([], "cpu")
