"""All networks that the converter is judged by, and what a user hands in of each."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch

import mlpress
from mlpress.models import MLModel
from tests.zoo.language import LANGUAGE
from tests.zoo.more_language import MORE_LANGUAGE
from tests.zoo.more_vision import MORE_VISION
from tests.zoo.network import Inputs, Network
from tests.zoo.recurrent import RECURRENT
from tests.zoo.tracing import trace
from tests.zoo.vision import VISION

ZOO: dict[str, Callable[[], Network]] = {**VISION, **MORE_VISION, **RECURRENT, **LANGUAGE, **MORE_LANGUAGE}


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
    """Converts a network by mlpress."""
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
