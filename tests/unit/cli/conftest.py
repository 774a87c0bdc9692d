from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from mlpress.cli import main
from tests.digits_package import write_digits_package


@dataclass(frozen=True)
class Outcome:
    """What a run of the command line ended with."""

    code: int
    out: str
    err: str


Run = Callable[..., Outcome]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command line with arguments, in this process."""

    def run_main(*arguments: object) -> Outcome:
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Outcome(int(ended.value.code or 0), captured.out, captured.err)

    return run_main


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A package of the demo's network with random weights: two are large enough to compress, six are not."""
    rng = np.random.default_rng(0)
    shapes = {"conv1": (16, 1, 3, 3), "conv2": (32, 16, 3, 3), "dense1": (128, 512), "dense2": (10, 128)}
    parameters = {}
    for layer, shape in shapes.items():
        parameters[f"{layer}_weight"] = rng.standard_normal(shape).astype(np.float32)
        parameters[f"{layer}_bias"] = rng.standard_normal(shape[0]).astype(np.float32)
    path = tmp_path / "model.mlpackage"
    write_digits_package(parameters, path)
    return path
