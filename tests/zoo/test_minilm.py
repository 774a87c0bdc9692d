"""A trained model: sentences have the embeddings that torch gives them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import torch

from mlpress.models import MLModel
from mlpress.runtime import Float16RangeWarning, RunOptions
from tests.zoo.comparison import LEAST_OF_ROUNDED, Array, least_snr_db, snr_db
from tests.zoo.minilm import MiniLM, tokenize
from tests.zoo.network import Inputs
from tests.zoo.peer import convert
from tests.zoo.tracing import trace

pytestmark = pytest.mark.zoo

SENTENCES = (
    "A man is eating food.",
    "Somebody has a meal.",
    "The stock market fell sharply on Monday after the central bank raised its rates once more.",
    "Shares lost value.",
    "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich.",
    "x",
)


@dataclass(frozen=True)
class Program:
    """MiniLM converted, and the embeddings of the sentences from torch, [sentences, 384]."""

    path: Path
    precision: str
    inputs: list[Inputs]
    expected: Array

    def embed(self, options: RunOptions | None = None) -> Array:
        """Embeddings of the sentences, from a list of inputs."""
        results = MLModel(self.path, run_options=options).predict(self.inputs)
        return np.concatenate([embedding for result in results for embedding in result.values()])


CASES = (
    ("iOS15", "float16"),
    ("iOS16", "float32"),
    ("iOS17", "float16"),
    ("iOS18", "float32"),
    ("iOS18", "float16"),
)


@cache
def traced() -> tuple[torch.jit.ScriptModule, list[Inputs], Array]:
    """MiniLM, the tokens of the sentences, and their embeddings from torch."""
    module = MiniLM()
    inputs = [tokenize(sentence) for sentence in SENTENCES]
    with torch.no_grad():
        expected = torch.cat([module(*one.values()) for one in inputs])
    return trace(module, tuple(inputs[0].values())), inputs, expected.numpy()


@pytest.fixture(scope="module", params=CASES, ids="-".join)
def program(request: pytest.FixtureRequest) -> Iterator[Program]:
    target, precision = request.param
    script, inputs, expected = traced()
    with TemporaryDirectory() as folder:
        path = Path(folder, "model.mlpackage")
        convert(script, inputs[0], target, precision, path)
        yield Program(path, precision, inputs, expected)


def test_embeddings_are_those_of_torch(program: Program) -> None:
    assert snr_db(program.expected, program.embed()) > least_snr_db(program.precision)


@pytest.mark.parametrize(
    "program", [case for case in CASES if case[1] == "float16"], ids="-".join, indirect=True
)
def test_rounding_to_float16_as_a_device_does_costs_little(program: Program) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", Float16RangeWarning)
        found = program.embed(RunOptions(precision="float16"))
    assert snr_db(program.expected, found) > LEAST_OF_ROUNDED
