"""Models that live on the GPU are compressed there, and stay there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import mlpress
from mlpress import Palettize, Quantize, RunOptions, compress, fine_tune
from mlpress.encoding import decode
from mlpress.nn.metadata import encodings
from mlpress.optimize.torch.layerwise_compression import LayerwiseCompressor, LayerwiseCompressorConfig
from mlpress.optimize.torch.palettization import (
    PostTrainingPalettizer,
    PostTrainingPalettizerConfig,
    SKMPalettizer,
    SKMPalettizerConfig,
)
from mlpress.optimize.torch.quantization import PostTrainingQuantizer, PostTrainingQuantizerConfig
from tests.cuda.device import DEVICE
from tests.torch.calibration.weights.models import network as package
from tests.torch.calibration.weights.models import output_snr, samples
from tests.torch.optimize.prepared import COMBINATIONS, finalize, prepare
from tests.torch.optimize.training_loop import batch, network


def check(model: nn.Module) -> None:
    """All of it is on the device, and its weights are those of its encodings."""
    assert {value.device.type for value in (*model.parameters(), *model.buffers())} == {DEVICE}
    found = encodings(model.state_dict())
    assert found
    for name, encoding in found.items():
        np.testing.assert_array_equal(model.get_parameter(name).detach().cpu().numpy(), decode(encoding))


@pytest.mark.parametrize("name", COMBINATIONS)
def test_training(name: str) -> None:
    model, optimizers = prepare(network().to(DEVICE), COMBINATIONS[name])
    model.to(DEVICE)
    sgd = torch.optim.SGD(model.parameters(), lr=0.01)
    model.train()
    for index in range(7):
        inputs, labels = (each.to(DEVICE) for each in batch(index))
        sgd.zero_grad()
        nn.functional.cross_entropy(model(inputs), labels).backward()
        sgd.step()
        for optimizer in optimizers:
            optimizer.step()
    model = finalize(model, optimizers).eval()
    check(model)
    x = batch()[0]
    expected = model(x.to(DEVICE)).detach().cpu().numpy()
    converted = mlpress.convert(
        model.cpu(),
        inputs=[mlpress.TensorType("x", tuple(x.shape))],
        minimum_deployment_target=mlpress.target.iOS18,
        compute_precision=mlpress.precision.FLOAT32,
    )
    found = next(iter(converted.predict({"x": x}).values()))
    assert np.abs(found - expected).max() < 0.05 * np.abs(expected).max()


def _palettized(model: nn.Module) -> nn.Module:
    config = PostTrainingPalettizerConfig.from_dict({"global_config": {"n_bits": 2}})
    return PostTrainingPalettizer(model, config).compress()


def _quantized(model: nn.Module) -> nn.Module:
    config = PostTrainingQuantizerConfig.from_dict({"global_config": {"weight_dtype": "int4"}})
    return PostTrainingQuantizer(model, config).compress()


def _layerwise(**options: Any) -> Callable[[nn.Module], nn.Module]:
    def compressed(model: nn.Module) -> nn.Module:
        config = LayerwiseCompressorConfig.from_dict({"global_config": options})
        device = next(model.parameters()).device
        data = [batch(index)[0].to(device) for index in range(4)]
        return LayerwiseCompressor(model, config).compress(data, str(device))

    return compressed


def _sensitive(model: nn.Module) -> nn.Module:
    config = SKMPalettizerConfig.from_dict({"global_config": {"n_bits": 2}, "calibration_nsamples": 8})
    device = next(model.parameters()).device
    data = [[each.to(device) for each in batch(index)] for index in range(4)]
    return SKMPalettizer(model, config).compress(
        data, lambda model, one: nn.functional.cross_entropy(model(one[0]), one[1])
    )


METHODS = {
    "k-means": _palettized,
    "int4": _quantized,
    "GPTQ": _layerwise(algorithm="gptq", weight_dtype="uint4"),
    "SparseGPT": _layerwise(algorithm="sparse_gpt", target_sparsity=0.5),
    "sensitive k-means": _sensitive,
}


@pytest.mark.parametrize("name", METHODS)
def test_without_training(name: str) -> None:
    model = network().eval()
    expected = METHODS[name](model)
    found = METHODS[name](network().eval().to(DEVICE))
    check(found)
    x = batch()[0]
    ours, theirs = found(x.to(DEVICE)).detach().cpu(), expected(x).detach()
    assert (ours - theirs).norm() < 0.1 * theirs.norm()


GIVEN = samples((1, 6, 16), 16)

RECIPES = {
    "GPTQ": Quantize(dtype="int4", method="gptq", weight_threshold=0),
    "sensitive k-means": Palettize(nbits=2, method="sensitive", weight_threshold=0),
}


@pytest.mark.parametrize("name", RECIPES)
def test_packages_by_data(name: str) -> None:
    model = package()
    expected = compress(model, RECIPES[name], data=GIVEN).model
    model.run_options = RunOptions(device=DEVICE)
    found = compress(model, RECIPES[name], data=GIVEN).model
    assert found.run_options.device == DEVICE
    found.run_options = RunOptions()
    assert output_snr(package(), found, GIVEN) > output_snr(package(), expected, GIVEN) - 1


def test_packages_are_fine_tuned() -> None:
    recipe = Palettize(nbits=2, weight_threshold=0)
    model = package()
    model.run_options = RunOptions(device=DEVICE)
    tuned = fine_tune(model, recipe, GIVEN, epochs=2).model
    tuned.run_options = RunOptions()
    untuned = compress(package(), recipe).model
    assert output_snr(package(), tuned, GIVEN) > output_snr(package(), untuned, GIVEN)
