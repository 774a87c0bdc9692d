"""Compression of a trained model without data."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from mlpress.encoding import decode, describe
from mlpress.errors import RecipeError, StrictError
from mlpress.nn.metadata import encodings, load
from mlpress.optimize.torch.palettization import PostTrainingPalettizer, PostTrainingPalettizerConfig
from mlpress.optimize.torch.quantization import PostTrainingQuantizer, PostTrainingQuantizerConfig


class Net(nn.Module):
    """A module of every type that can be compressed."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embedding = nn.Embedding(32, 16)
        self.attention = nn.MultiheadAttention(16, 2)
        self.conv = nn.Conv2d(8, 24, 3)
        self.up = nn.ConvTranspose2d(8, 24, 3)
        self.linear = nn.Linear(16, 24)
        self.norm = nn.LayerNorm(16)


def palettize(model: nn.Module, **config: object) -> nn.Module:
    return PostTrainingPalettizer(
        model, PostTrainingPalettizerConfig.from_dict({"global_config": config})
    ).compress()


def quantize(model: nn.Module, **config: object) -> nn.Module:
    return PostTrainingQuantizer(
        model, PostTrainingQuantizerConfig.from_dict({"global_config": config})
    ).compress()


def states_equal(first: nn.Module, second: nn.Module) -> bool:
    one, other = first.state_dict(), second.state_dict()
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def test_palettizing_leaves_few_values_and_says_so() -> None:
    model = Net()
    before = copy.deepcopy(model)
    compressed = palettize(model, n_bits=2)
    assert states_equal(model, before)
    found = encodings(compressed.state_dict())
    assert list(found) == [
        "embedding.weight",
        "attention.in_proj_weight",
        "attention.out_proj.weight",
        "conv.weight",
        "linear.weight",
    ]
    for name, encoding in found.items():
        assert describe(encoding) == "2-bit palette · float32 table"
        values = compressed.get_parameter(name).detach().numpy()
        assert len(np.unique(values)) == 4
        np.testing.assert_array_equal(values, decode(encoding))
    assert compressed.get_buffer("_COREML_/metadata_version") == 1


def test_quantizing_reaches_every_kind_of_weight() -> None:
    found = encodings(quantize(Net(), weight_dtype="uint4").state_dict())
    assert {name: describe(encoding) for name, encoding in found.items()} == {
        "attention.in_proj_weight": "uint4 · 48 scales · offset",
        "attention.out_proj.weight": "uint4 · 16 scales · offset",
        "conv.weight": "uint4 · 24 scales · offset",
        "up.weight": "uint4 · 24 scales · offset",
        "linear.weight": "uint4 · 24 scales · offset",
    }


@pytest.mark.parametrize(
    ("size", "linear", "conv", "up"),
    [
        (8, "24x2 scales", "24 scales", "24 scales"),
        ((4, 8), "6x2 scales", "6 scales", "6 scales"),
        ((4, 0), "6 scales", "6 scales", "6 scales"),
    ],
)
def test_blocks_lie_along_input_and_output_channels(size: object, linear: str, conv: str, up: str) -> None:
    model = PostTrainingQuantizer(
        Net(),
        PostTrainingQuantizerConfig.from_dict(
            {"global_config": {"granularity": "per_block", "block_size": size}}
        ),
    )
    found = encodings(model.compress().state_dict())
    described = {name: describe(encoding) for name, encoding in found.items()}
    assert described["linear.weight"] == f"int8 · {linear}"
    if size != 8:  # 8 are all inputs of the convolutions
        assert described["conv.weight"] == f"int8 · {conv}"
        assert described["up.weight"] == f"int8 · {up}"


def test_what_cannot_be_done_is_left_bit_for_bit_and_reported() -> None:
    model = Net()
    config = PostTrainingPalettizerConfig.from_dict(
        {"global_config": {"granularity": "per_grouped_channel", "group_size": 16}}
    )
    palettizer = PostTrainingPalettizer(model, config)
    compressed = palettizer.compress()
    assert torch.equal(compressed.linear.weight, model.linear.weight)
    assert load(compressed.linear, "weight") is None
    report = palettizer.report()
    assert set(report) == {"embedding.weight", "attention.in_proj_weight", "attention.out_proj.weight"}
    reason = "palettize: group_size 16 does not divide the 24 channels of axis 0"
    assert report.skipped == {"conv.weight": reason, "linear.weight": reason}
    assert f"skipped conv.weight: {reason}" in str(report)


def test_strict_makes_it_an_error_and_changes_nothing() -> None:
    model = Net()
    before = copy.deepcopy(model)
    config = PostTrainingPalettizerConfig.from_dict({"global_config": {"cluster_dim": 5}})
    with pytest.raises(StrictError, match=r"conv.weight: palettize: cluster_dim 5 does not divide"):
        PostTrainingPalettizer(model, config).compress(inplace=True, strict=True)
    assert states_equal(model, before)


def test_in_place_changes_the_model_itself() -> None:
    model = nn.Sequential(nn.Linear(16, 8))
    weight = model[0].weight
    assert PostTrainingPalettizer(model).compress(inplace=True) is model
    assert model[0].weight is weight
    assert load(model[0], "weight") is not None


def test_new_weights_take_the_memory_of_the_old_ones() -> None:
    layer = nn.Conv2d(8, 16, 3).to(memory_format=torch.channels_last)
    before, memory = layer.weight.detach().clone(), layer.weight.data_ptr()
    optimizer = PostTrainingPalettizer(nn.Sequential(layer), PostTrainingPalettizerConfig())
    optimizer.compress(inplace=True)
    assert layer.weight.data_ptr() == memory
    assert layer.weight.is_contiguous(memory_format=torch.channels_last)
    error = float((layer.weight - before).square().mean().sqrt())
    assert optimizer.report()["0.weight"]["error"] == pytest.approx(error, rel=1e-3)


def test_weights_made_in_inference_mode_get_new_memory() -> None:
    with torch.inference_mode():
        model = nn.Sequential(nn.Linear(32, 32))
    PostTrainingPalettizer(model, PostTrainingPalettizerConfig()).compress(inplace=True)
    assert len(model[0].weight.unique()) == 16


@pytest.mark.parametrize("workers", [1, 3])
def test_workers_do_not_change_the_result(workers: int) -> None:
    assert states_equal(
        PostTrainingPalettizer(Net()).compress(workers), PostTrainingPalettizer(Net()).compress()
    )


@pytest.mark.parametrize("size", [1e-30, 1e-6, 1.0, 1e6, 1e30])
@pytest.mark.parametrize("bits", [1, 4, 6, 8])
def test_the_fast_mode_is_close_to_the_optimum(bits: int, size: float) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(128, 128))
    with torch.no_grad():
        model[0].weight.normal_().mul_(size)
    errors = []
    for fast in (True, False):
        compressed = palettize(model, n_bits=bits, enable_fast_kmeans_mode=fast)
        assert compressed[0].weight.dtype == torch.float32
        difference = (compressed[0].weight.double() - model[0].weight.double()) / size
        errors.append(difference.square().sum().item())
    assert errors[1] * 0.9999 <= errors[0] <= 1.001 * errors[1]


def test_a_shared_parameter_stays_shared() -> None:
    model = nn.ModuleDict({"embedding": nn.Embedding(16, 8), "head": nn.Linear(8, 16, bias=False)})
    model["head"].weight = model["embedding"].weight
    compressed = palettize(model, n_bits=2)
    assert compressed["head"].weight is compressed["embedding"].weight
    assert load(compressed["head"], "weight") == load(compressed["embedding"], "weight")


def test_a_palettized_model_is_quantized_in_its_tables() -> None:
    compressed = quantize(palettize(Net(), n_bits=4))
    assert describe(load(compressed.linear, "weight")) == "4-bit palette · int8 table"
    assert describe(load(compressed.embedding, "weight")) == "4-bit palette · float32 table"
    assert describe(load(compressed.up, "weight")) == "int8 · 24 scales"


def test_a_quantized_model_is_palettized_in_its_integers() -> None:
    compressed = palettize(quantize(Net()), n_bits=4)
    assert describe(load(compressed.linear, "weight")) == "4-bit palette · int8 table · 24 scales"


def test_other_types_than_half_and_single_precision_are_left() -> None:
    model = nn.Sequential(nn.Linear(16, 8)).to(torch.bfloat16)
    palettizer = PostTrainingPalettizer(model)
    assert torch.equal(palettizer.compress()[0].weight, model[0].weight)
    assert palettizer.report().skipped == {
        "0.weight": "it is torch.bfloat16; float16 and float32 weights can be compressed"
    }


def test_a_half_precision_model_stays_one() -> None:
    compressed = palettize(nn.Sequential(nn.Linear(16, 8)).half(), n_bits=2)
    assert compressed[0].weight.dtype == torch.float16
    assert describe(load(compressed[0], "weight")) == "2-bit palette · float16 table"


def test_the_report_has_errors_and_prints_as_a_table() -> None:
    palettizer = PostTrainingPalettizer(nn.Sequential(nn.Linear(16, 8)))
    assert not palettizer.report()
    palettizer.compress()
    report = palettizer.report()
    assert 0 < report["0.weight"]["error"] < 0.05
    assert report["0.weight"]["#params"] == 128
    assert str(report).splitlines()[0] == "    name |   error | #params |             palettization_mode"


def test_a_configuration_for_another_optimizer_is_refused() -> None:
    with pytest.raises(RecipeError, match="PostTrainingPalettizer takes a PostTrainingPalettizerConfig, not"):
        PostTrainingPalettizer(Net(), PostTrainingQuantizerConfig())
