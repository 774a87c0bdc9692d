"""Layerwise compression of convolutions in groups, and by algorithms of one's own."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from mlpress.encoding import decode, describe
from mlpress.errors import NotApplicableError
from mlpress.nn.metadata import encodings
from mlpress.optimize.torch.layerwise_compression import (
    GPTQ,
    LayerwiseCompressionAlgorithm,
    LayerwiseCompressionAlgorithmConfig,
    LayerwiseCompressor,
    LayerwiseCompressorConfig,
    ModuleGPTQConfig,
)


def separable() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(4, 8, 3, groups=2), nn.ReLU(), nn.Conv2d(8, 8, 3, groups=8), nn.ReLU(), nn.Conv2d(8, 4, 1)
    ).eval()


def mixed(seed: int) -> torch.Tensor:
    """Images whose channels and neighbours depend on each other."""
    generator = torch.Generator().manual_seed(seed)
    noise, mixing = torch.randn(32, 4, 8, 8, generator=generator), torch.randn(4, 4, generator=generator)
    return torch.einsum("nchw,cd->ndhw", noise.cumsum(-1), mixing)


@pytest.mark.parametrize(
    "config",
    [
        {"algorithm": "gptq", "weight_dtype": "uint4"},
        {"algorithm": "gptq", "weight_dtype": "uint4", "granularity": "per_block", "block_size": 1},
        {"algorithm": "gptq", "weight_dtype": "uint4", "granularity": "per_tensor"},
        {"algorithm": "gptq", "weight_dtype": "uint4", "enable_normal_float": True},
        {"algorithm": "sparse_gpt", "weight_dtype": "float32"},
        {"algorithm": "sparse_gpt", "weight_dtype": "uint8", "quantization_granularity": "per_tensor"},
    ],
    ids=str,
)
def test_convolutions_in_groups(config: dict[str, object]) -> None:
    model, made = separable(), LayerwiseCompressorConfig.from_dict({"global_config": config})
    compressed = LayerwiseCompressor(model, made).compress([mixed(0)], "cpu", strict=True)
    assert set(encodings(compressed.state_dict())) == {"0.weight", "2.weight", "4.weight"}
    for name, encoding in encodings(compressed.state_dict()).items():
        np.testing.assert_array_equal(compressed.get_parameter(name).detach().numpy(), decode(encoding))


@pytest.mark.parametrize("groups", [2, 4])
@pytest.mark.parametrize(
    "config",
    [
        {"weight_dtype": "uint4"},
        {"weight_dtype": "uint4", "quantization_scheme": "affine", "use_activation_order_heuristic": True},
        {"weight_dtype": "int4", "granularity": "per_block", "block_size": 1},
    ],
    ids=str,
)
def test_each_group_is_a_layer_of_its_own(config: dict[str, object], groups: int) -> None:
    torch.manual_seed(0)
    layer, images = nn.Conv2d(4, 8, 3, padding=1, groups=groups, bias=False), mixed(0)
    parts = []
    for weight, channels in zip(layer.weight.chunk(groups), images.chunk(groups, dim=1), strict=True):
        alone = nn.Conv2d(4 // groups, 8 // groups, 3, padding=1, bias=False)
        alone.weight.data = weight.detach().clone()
        parts.append(by_gptq(alone, channels, config))
    torch.testing.assert_close(by_gptq(layer, images, config), torch.cat(parts))


def by_gptq(layer: nn.Conv2d, images: torch.Tensor, config: dict[str, object]) -> torch.Tensor:
    algorithm = GPTQ(layer, ModuleGPTQConfig.from_dict(config))
    algorithm.add_batch(images, layer(images))
    algorithm.compress()
    return layer.weight.detach()


def test_an_algorithm_of_ones_own() -> None:
    @LayerwiseCompressionAlgorithmConfig.register("halves")
    class Config(LayerwiseCompressionAlgorithmConfig):
        step: float = 0.5
        algorithm: str = "halves"

    @LayerwiseCompressionAlgorithm.register("halves")
    class Halves(LayerwiseCompressionAlgorithm):
        """Rounds the weight where any output was seen."""

        def __init__(self, layer: nn.Module, config: Config) -> None:
            self.layer, self.config, self.outputs = layer, config, []

        def add_batch(self, inp: torch.Tensor, out: torch.Tensor) -> None:
            assert torch.equal(out, self.layer._conv_forward(inp, self.layer.weight, self.layer.bias))
            self.outputs.append(out)

        def compress(self) -> None:
            assert len(self.outputs) == 2
            step = self.config.step
            self.layer.weight.data = torch.round(self.layer.weight.data / step) * step

        def cleanup(self) -> None:
            self.outputs.clear()

    config = LayerwiseCompressorConfig.from_dict({"global_config": {"algorithm": "halves", "step": 0.25}})
    data = [torch.randn(2, 4, 8, 8), torch.randn(2, 4, 8, 8)]
    compressed = LayerwiseCompressor(separable(), config).compress(data, "cpu")
    for weight in (compressed[0].weight, compressed[2].weight, compressed[4].weight):
        assert torch.equal(weight * 4, torch.round(weight * 4))
    del LayerwiseCompressionAlgorithm.REGISTRY["halves"]
    del LayerwiseCompressionAlgorithmConfig.REGISTRY["halves"]


def test_an_algorithm_by_itself() -> None:
    layer = nn.Linear(8, 4)
    inputs = torch.randn(16, 8)
    algorithm = GPTQ(layer, ModuleGPTQConfig(weight_dtype="uint4"))
    with pytest.raises(NotApplicableError, match="no input of it was seen"):
        algorithm.compress()
    algorithm.add_batch(inputs, layer(inputs))
    algorithm.compress()
    assert describe(encodings(layer.state_dict())["weight"]) == "uint4 · 4 scales · offset"
    with pytest.raises(NotApplicableError, match="quantized or palettized already"):
        GPTQ(layer, ModuleGPTQConfig())
    with pytest.raises(ValueError, match="block_size 3 does not divide the 8 input channels"):
        GPTQ(nn.Linear(8, 4), ModuleGPTQConfig(granularity="per_block", block_size=3))
