"""Layerwise compression of models of any structure, from data in any form."""

from __future__ import annotations

from collections import UserDict, namedtuple

import numpy as np
import pytest
import torch
from torch import nn

from mlpress.encoding import decode
from mlpress.nn.metadata import encodings
from mlpress.optimize.torch.layerwise_compression import LayerwiseCompressor, LayerwiseCompressorConfig
from tests.torch.optimize.training_loop import same_state

UINT4 = {"algorithm": "gptq", "weight_dtype": "uint4"}


def compressor(model: nn.Module, **config: object) -> LayerwiseCompressor:
    return LayerwiseCompressor(model, LayerwiseCompressorConfig.from_dict({"global_config": UINT4, **config}))


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def check_decoded(model: nn.Module, expected: set[str]) -> None:
    found = encodings(model.state_dict())
    assert set(found) == expected
    for name, encoding in found.items():
        np.testing.assert_array_equal(model.get_parameter(name).detach().numpy(), decode(encoding))


def test_a_model_that_is_a_layer() -> None:
    model = nn.Linear(16, 8)
    compressed = compressor(model).compress([draw(32, 16)], "cpu")
    check_decoded(compressed, {"weight"})
    assert "_COREML_/metadata_version" in compressed.state_dict()


def test_an_encoder_and_a_decoder() -> None:
    """Attention calls no linear module for its projections: that is said, and they stay."""
    torch.manual_seed(0)
    model = nn.Transformer(16, 2, 2, 2, 32, dropout=0.5, batch_first=True)
    samples = [(draw(2, 5, 16, seed=seed), draw(2, 4, 16, seed=9 + seed)) for seed in range(4)]
    optimizer = compressor(model)
    compressed = optimizer.compress(samples, "cpu")
    layers = [f"{side}.layers.{index}" for side in ("encoder", "decoder") for index in range(2)]
    check_decoded(compressed, {f"{layer}.linear{index}.weight" for layer in layers for index in (1, 2)})
    projections = [f"{layer}.self_attn.out_proj.weight" for layer in layers]
    projections += [f"decoder.layers.{index}.multihead_attn.out_proj.weight" for index in range(2)]
    assert optimizer.report().skipped == dict.fromkeys(projections, "no input of it was seen")
    for name in projections:
        assert torch.equal(compressed.get_parameter(name), model.get_parameter(name))


class Two(nn.Module):
    """Two arguments."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Linear(8, 16)
        self.second = nn.Linear(16, 8)

    def forward(self, values: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
        return self.second(torch.relu(self.first(values))) + shift


Arguments = namedtuple("Arguments", ["values", "shift"])


@pytest.mark.parametrize(
    "form",
    [
        lambda values, shift: [values, shift],
        lambda values, shift: Arguments(values, shift),
        lambda values, shift: {"shift": shift, "values": values},
        lambda values, shift: UserDict(shift=shift, values=values),
    ],
    ids=["list", "named tuple", "dictionary", "mapping"],
)
def test_samples_of_several_arguments(form) -> None:
    arguments = [(draw(16, 8, seed=seed), draw(16, 8, seed=seed)) for seed in range(3)]
    expected = compressor(Two()).compress(arguments, "cpu")
    found = compressor(Two()).compress([form(*each) for each in arguments], "cpu")
    assert same_state(found, expected)


def test_only_so_many_samples_are_read() -> None:
    def samples():
        yield from (draw(16, 16, seed=seed) for seed in range(2))
        raise AssertionError("a third sample was asked for")

    compressor(nn.Linear(16, 8), calibration_nsamples=2).compress(samples(), "cpu")


def test_layers_given_as_modules() -> None:
    model = nn.Sequential(nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 8))
    for inplace in (False, True):
        compressed = compressor(model, layers=[model[2]]).compress([draw(32, 16)], "cpu", inplace=inplace)
        check_decoded(compressed, {"2.weight"})
        assert (compressed is model) == inplace


def test_modes_of_modules_stay() -> None:
    model = nn.Sequential(nn.Linear(16, 16), nn.BatchNorm1d(16), nn.Linear(16, 8))
    model[1].eval()
    compressed = compressor(model).compress([draw(32, 16)], "cpu")
    assert [module.training for module in compressed.modules()] == [True, True, False, True]
