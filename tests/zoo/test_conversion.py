"""Networks converted by mlpress, traced and exported, beside torch; coremltools loads the programs."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
import torch

import mlpress
from mlpress.models import MLModel
from tests.oracle.converter.test_loads import load_package
from tests.zoo.comparison import Array, lowest_snr_db
from tests.zoo.language import LANGUAGE
from tests.zoo.more_language import MORE_LANGUAGE
from tests.zoo.more_vision import MORE_VISION
from tests.zoo.network import Inputs, Network
from tests.zoo.peer import trace
from tests.zoo.recurrent import RECURRENT
from tests.zoo.vision import VISION

pytestmark = pytest.mark.zoo

ZOO: dict[str, Callable[[], Network]] = {**VISION, **MORE_VISION, **RECURRENT, **LANGUAGE, **MORE_LANGUAGE}
ROUTES = ("trace", "export")
TARGETS = ("iOS16", "iOS17", "iOS18")

LEAST = {"float32": 60.0, "float16": 40.0}
"""What outputs have to reach, in dB."""

LEAST_OF_CHANGES = {"float32": 60.0, "float16": 20.0}
"""What is asked of that part of the outputs which depends on the inputs."""


@lru_cache(maxsize=1)  # the cases of a network follow each other
def made(name: str) -> tuple[Network, Inputs, Inputs]:
    """A network, inputs to convert with, and others to compare with."""
    torch.manual_seed(0)
    network = ZOO[name]()
    return network, network.draw(), network.draw()


@lru_cache(maxsize=1)
def captured(name: str, route: str) -> Any:
    """What a user hands in."""
    network, example, _ = made(name)
    inputs = tuple(example.values())
    if route == "trace":
        return trace(network.module, inputs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.export.export(network.module, inputs, strict=False)


def convert(name: str, route: str, target: str, precision: str) -> MLModel:
    _, example, _ = made(name)
    features = [
        mlpress.TensorType(key, tuple(value.shape), None if value.is_floating_point() else "int32")
        for key, value in example.items()
    ]
    return mlpress.convert(
        captured(name, route),
        inputs=features,
        minimum_deployment_target=getattr(mlpress.target, target),
        compute_precision=getattr(mlpress.precision, precision.upper()),
    )


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("name", ZOO)
def test_a_converted_network_is_that_of_torch(name: str, route: str, target: str, tmp_path: Path) -> None:
    network, example, inputs = made(name)
    expected, elsewhere = network(inputs), network(example)
    for precision in LEAST:
        path = tmp_path / f"{precision}.mlpackage"
        convert(name, route, target, precision).save(path)
        load_package(path)
        found = list(MLModel(path).predict(inputs).values())
        assert lowest_snr_db(expected, found) > LEAST[precision]
        assert (
            lowest_snr_db(changes(expected, elsewhere), changes(found, elsewhere))
            > LEAST_OF_CHANGES[precision]
        )


def changes(outputs: list[Array], elsewhere: list[Array]) -> list[Array]:
    """What in `outputs` depends on the inputs; in a random network, much does not."""
    return [output - other for output, other in zip(outputs, elsewhere, strict=True)]
