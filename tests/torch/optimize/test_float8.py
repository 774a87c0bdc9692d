"""Weights of 8-bit floats after training."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from mlpress.encoding import decode, describe
from mlpress.errors import RecipeError
from mlpress.nn.metadata import encodings
from mlpress.optimize.torch.pruning import MagnitudePruner
from mlpress.optimize.torch.quantization import PostTrainingQuantizer, PostTrainingQuantizerConfig
from tests.torch.optimize.training_loop import network

TYPES = {"fp8_e4m3": torch.float8_e4m3fn, "fp8_e5m2": torch.float8_e5m2}


def quantizer(model: nn.Module, **config: object) -> PostTrainingQuantizer:
    return PostTrainingQuantizer(model, PostTrainingQuantizerConfig.from_dict({"global_config": config}))


@pytest.mark.parametrize("name", TYPES)
@pytest.mark.parametrize("given", [str, TYPES.get], ids=["name", "type"])
def test_each_channel_is_rounded_by_torch(name: str, given) -> None:
    model = network()
    compressed = quantizer(model, weight_dtype=given(name)).compress()
    for index in (0, 4, 6):
        weight, found = model[index].weight.detach(), compressed[index].weight.detach()
        largest = weight.flatten(1).abs().amax(1).reshape(-1, *(1,) * (weight.dim() - 1))
        scale = largest / torch.finfo(TYPES[name]).max
        expected = (weight / scale).to(TYPES[name]).float() * scale
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=0)
        encoding = encodings(compressed.state_dict())[f"{index}.weight"]
        assert describe(encoding) == f"8-bit palette · float32 table · {len(weight)} scales"
        np.testing.assert_array_equal(found.numpy(), decode(encoding))


@pytest.mark.parametrize("name", TYPES)
@pytest.mark.parametrize("size", [1e-6, 1.0, 6e4])
def test_tables_in_half_precision_are_exact(name: str, size: float) -> None:
    torch.manual_seed(0)
    layer = nn.Linear(64, 8)
    layer.weight.data *= size / layer.weight.abs().max()
    half = nn.Sequential(layer).half()
    found = quantizer(half, weight_dtype=name).compress()[0].weight.float()
    weight = half[0].weight.float()
    steps = 2.0 ** -(4 if name == "fp8_e4m3" else 3)  # half of the last of the digits
    large = weight.abs() > weight.abs().amax(1, keepdim=True) / 16
    error = ((found - weight).abs() / weight.abs())[large]
    assert error.max() <= steps * 1.05 + (0.5 if size == 1e-6 else 0)


def test_pruned_weights_keep_their_zeros() -> None:
    pruner = MagnitudePruner(network())
    pruner.prepare(inplace=True)
    pruner.step()
    model = pruner.finalize(inplace=True)
    compressed = quantizer(model, weight_dtype="fp8_e4m3").compress()
    assert describe(encodings(compressed.state_dict())["4.weight"]).startswith("sparse 50% · 8-bit palette")
    assert not compressed[4].weight[model[4].weight == 0].any()


def test_one_scale_and_what_cannot_be_rounded() -> None:
    once = quantizer(network(), weight_dtype="fp8_e5m2", granularity="per_tensor").compress()
    assert describe(encodings(once.state_dict())["4.weight"]) == "8-bit palette · float32 table · 1 scale"
    again = quantizer(once, weight_dtype="fp8_e5m2")
    again.compress()
    assert again.report().skipped["4.weight"] == "fp8_e5m2: it is quantized or palettized already"
    with pytest.raises(RecipeError, match="'fp8_e4m3' goes with quantization_scheme 'symmetric'"):
        quantizer(network(), weight_dtype="fp8_e4m3", quantization_scheme="affine")
