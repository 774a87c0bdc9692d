"""Data-free compression beside coremltools' on the same model: the same, or closer to the weights."""

from __future__ import annotations

import coremltools as ct
import coremltools.optimize.torch as cto
import pytest
import torch
from torch import nn

from mlpress.optimize.torch import palettization, quantization
from mlpress.optimize.torch.palettization import PostTrainingPalettizer
from mlpress.optimize.torch.quantization import PostTrainingQuantizer
from tests.oracle.chains import chains


def model() -> nn.Module:
    torch.manual_seed(0)
    layers = nn.Sequential(
        nn.Embedding(64, 32),
        nn.Conv2d(8, 32, 3),
        nn.ConvTranspose2d(8, 32, 3),
        nn.Linear(64, 48),
        nn.MultiheadAttention(32, 4),
    )
    with torch.no_grad():
        for parameter in layers.parameters():
            parameter *= torch.randn_like(parameter).abs() + 0.1
    return layers


def both(name: str, config: dict[str, object]) -> tuple[nn.Module, nn.Module, nn.Module]:
    """The model before, and as we and coremltools compress it."""
    ours = (palettization if "Palettizer" in name else quantization).__dict__
    theirs = (cto.palettization if "Palettizer" in name else cto.quantization).__dict__
    data = {"global_config": config}
    return (
        model(),
        ours[name](model(), ours[f"{name}Config"].from_dict(data)).compress(),
        theirs[name](model(), theirs[f"{name}Config"].from_dict(data)).compress(),
    )


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int4", "uint4"])
@pytest.mark.parametrize("scheme", ["symmetric", "affine"])
@pytest.mark.parametrize(
    "granularity",
    [
        {"granularity": "per_tensor"},
        {"granularity": "per_channel"},
        {"granularity": "per_block", "block_size": 4},
        {"granularity": "per_block", "block_size": (4, 8)},
    ],
    ids=str,
)
def test_quantized_weights_are_equal_bit_for_bit(
    dtype: str, scheme: str, granularity: dict[str, object]
) -> None:
    config = {"weight_dtype": dtype, "quantization_scheme": scheme, **granularity}
    _, ours, theirs = both(PostTrainingQuantizer.__name__, config)
    for (name, one), (_, other) in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0, msg=name)


GROUPS = {"granularity": "per_grouped_channel", "group_size": 8}


@pytest.mark.parametrize(
    ("config", "worst"),
    [
        ({"n_bits": 1}, 1.0001),
        ({"n_bits": 4}, 1.0001),
        ({"n_bits": 8}, 1.0001),
        ({"n_bits": 3, **GROUPS}, 1.0001),
        ({"n_bits": 3, **GROUPS, "channel_axis": 1}, 1.0001),
        ({"n_bits": 4, "lut_dtype": torch.int8}, 1.0),
        ({"n_bits": 4, "lut_dtype": "uint8", **GROUPS}, 1.02),  # one scale for all tables, not one for each
        ({"n_bits": 4, "enable_per_channel_scale": True}, 1.0),
        ({"n_bits": 4, "cluster_dim": 2}, 1.03),
    ],
    ids=str,
)
def test_palettized_weights_are_as_close_or_closer(config: dict[str, object], worst: float) -> None:
    before, ours, theirs = both(PostTrainingPalettizer.__name__, config)
    pairs = zip(before.named_parameters(), ours.parameters(), theirs.parameters(), strict=True)
    for (name, original), one, other in pairs:
        error, their_error = ((original - found).square().sum().item() for found in (one, other))
        assert error <= worst * their_error + 1e-6, name
        assert (error > 0) == (their_error > 0), name


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2], ids=str)
def test_8_bit_floats_are_floats_which_theirs_are_not(dtype: torch.dtype) -> None:
    """coremltools takes these types and rounds to int8; its converter has no floats of 8 bits."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 8)).eval()
    theirs, ours = (
        home.PostTrainingQuantizer(
            model, home.PostTrainingQuantizerConfig.from_dict({"global_config": {"weight_dtype": dtype}})
        ).compress()
        for home in (cto.quantization, quantization)
    )
    steps = theirs[0].weight / theirs.state_dict()["0._COREML_/weight/quantization_scale"]
    torch.testing.assert_close(steps, steps.round(), rtol=0, atol=1e-3)
    scale = ours[0].weight.abs().amax(1, keepdim=True) / torch.finfo(dtype).max
    numbers = ours[0].weight / scale
    torch.testing.assert_close(numbers, numbers.to(dtype).float(), rtol=1e-5, atol=0)
    converted = ct.convert(
        torch.jit.trace(ours, torch.zeros(1, 64)),
        inputs=[ct.TensorType(shape=(1, 64))],
        minimum_deployment_target=ct.target.iOS18,
        skip_model_load=True,
    )
    (chain,) = (text for (_, use), text in chains(converted.get_spec()).items() if use == "weight")
    assert chain.startswith("lut_to_dense(indices=uint8[8,64]")
