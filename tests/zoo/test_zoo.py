"""Networks that coremltools converted, run here, beside torch."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch

from mlpress.models import MLModel
from mlpress.runtime import Float16RangeWarning, RunOptions
from tests.zoo.comparison import LEAST_OF_ROUNDED, Array, least_snr_db, lowest_snr_db
from tests.zoo.language import LANGUAGE
from tests.zoo.network import Inputs, Network
from tests.zoo.peer import PRECISIONS, TARGETS, convert
from tests.zoo.recurrent import RECURRENT
from tests.zoo.tracing import trace
from tests.zoo.vision import VISION

pytestmark = pytest.mark.zoo

ZOO: dict[str, Callable[[], Network]] = {**VISION, **RECURRENT, **LANGUAGE}

LEAST_OF_CHANGES = {"float32": 80, "float16": 20}
"""How near, in dB, outputs have to come in what depends on the inputs."""


@dataclass(frozen=True)
class Case:
    """A network, converted for a target in a precision."""

    network: str
    target: str
    precision: str

    def __str__(self) -> str:
        return f"{self.network}-{self.target}-{self.precision}"


def cases() -> Iterator[Case]:
    """Each network for each target; the precisions take turns along both."""
    for place, name in enumerate(ZOO):
        for step, target in enumerate(TARGETS):
            yield Case(name, target, PRECISIONS[(place + step) % len(PRECISIONS)])


@dataclass(frozen=True)
class Program:
    """What coremltools made of a network.

    Attributes:
        case: What it is.
        path: The package.
        inputs: Other ones than those of the trace.
        expected: What torch makes of `inputs`.
        elsewhere: What torch makes of the inputs of the trace.
    """

    case: Case
    path: Path
    inputs: Inputs
    expected: Sequence[Array]
    elsewhere: Sequence[Array]

    def predict(self, options: RunOptions | None = None) -> list[Array]:
        return list(MLModel(self.path, run_options=options).predict(self.inputs).values())

    def changes(self, outputs: Sequence[Array]) -> list[Array]:
        """What in `outputs` depends on the inputs; in a random network, much does not."""
        return [output - other for output, other in zip(outputs, self.elsewhere, strict=True)]


@lru_cache(maxsize=1)  # the cases of a network follow each other
def traced(name: str) -> tuple[Network, Inputs, torch.jit.ScriptModule]:
    """A network, inputs, and what tracing it with them gave."""
    torch.manual_seed(0)
    network = ZOO[name]()
    inputs = network.draw()
    return network, inputs, trace(network.module, tuple(inputs.values()))


@pytest.fixture(scope="module", params=cases(), ids=str)
def program(request: pytest.FixtureRequest) -> Iterator[Program]:
    case: Case = request.param
    network, example, script = traced(case.network)
    torch.manual_seed(1)
    inputs = network.draw()
    with TemporaryDirectory() as folder:
        path = Path(folder, "model.mlpackage")
        convert(script, example, case.target, case.precision, path)
        yield Program(case, path, inputs, network(inputs), network(example))


def test_outputs_are_those_of_torch(program: Program) -> None:
    found = program.predict()
    assert lowest_snr_db(program.expected, found) > least_snr_db(program.case.precision)
    changes = lowest_snr_db(program.changes(program.expected), program.changes(found))
    assert changes > LEAST_OF_CHANGES[program.case.precision]


@pytest.mark.parametrize(
    "program", [case for case in cases() if case.precision == "float16"], ids=str, indirect=True
)
def test_rounding_to_float16_as_a_device_does_costs_little(program: Program) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", Float16RangeWarning)
        found = program.predict(RunOptions(precision="float16"))
    assert lowest_snr_db(program.expected, found) > LEAST_OF_ROUNDED
