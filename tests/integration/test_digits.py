"""A network trained on real data keeps its accuracy with 8-bit activations."""

from __future__ import annotations

from pathlib import Path

import pytest

from examples.demo import WITH_ACTIVATIONS, accuracy, convert
from examples.digits_network import Digits, digits, train
from mlpress import MLModel, Recipe, compress
from mlpress.api import quantize_activations
from mlpress.calibration import Estimator, MeanSquaredError, MinMax, Percentile


@pytest.fixture(scope="module")
def data() -> Digits:
    return digits()


@pytest.fixture(scope="module")
def network(data: Digits, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("digits") / "digits.mlpackage"
    convert(train(data)).save(path)
    return path


@pytest.mark.parametrize("estimator", [MinMax(), Percentile(), MeanSquaredError()], ids=repr)
@pytest.mark.parametrize("recipe", WITH_ACTIVATIONS.values(), ids=WITH_ACTIVATIONS.keys())
def test_activations_first(
    network: Path, data: Digits, recipe: Recipe | None, estimator: Estimator, tmp_path: Path
) -> None:
    samples = ({"image": image[None]} for image in data.train_images[:64])
    model = quantize_activations(network, samples, estimator=estimator).model
    _keeps_accuracy(model if recipe is None else compress(model, recipe).model, network, data, tmp_path)


@pytest.mark.parametrize("recipe", list(WITH_ACTIVATIONS.values())[1:], ids=list(WITH_ACTIVATIONS)[1:])
def test_weights_first(network: Path, data: Digits, recipe: Recipe, tmp_path: Path) -> None:
    samples = ({"image": image[None]} for image in data.train_images[:64])
    compressed = compress(network, recipe).model
    _keeps_accuracy(quantize_activations(compressed, samples).model, network, data, tmp_path)


def _keeps_accuracy(model: MLModel, network: Path, data: Digits, folder: Path) -> None:
    model.save(folder / "quantized.mlpackage")
    assert accuracy(folder / "quantized.mlpackage", data) >= accuracy(network, data) - 0.01
