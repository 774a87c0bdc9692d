from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mlpress import MLModel
from mlpress.runtime import RunOptions
from tests.unit.cli.conftest import Run

FACTORY = """
import torch

def make():
    return torch.nn.Linear(4, 2).eval()

def exported():
    return torch.export.export(make(), (torch.zeros(1, 4),))

class Squares(torch.nn.Module):
    def forward(self, x):
        return (x * x).sqrt() + x

def squares():
    return Squares().eval()
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "nets_to_convert.py").write_text(FACTORY)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_a_factory_becomes_a_package(run: Run, folder: Path) -> None:
    done = run("convert", "nets_to_convert:make", "-o", "net.mlpackage", "--input", "features=1..8,4")
    assert (done.code, done.out) == (0, "")
    model = MLModel(folder / "net.mlpackage")
    assert model.predict({"features": np.ones((3, 4), np.float32)}).popitem()[1].shape == (3, 2)


def test_an_exported_program_needs_no_input(run: Run, folder: Path) -> None:
    done = run(
        "convert", "nets_to_convert:exported", "-o", "net", "--target", "iOS18", "--precision", "float32"
    )
    assert done.code == 0
    assert MLModel(folder / "net.mlpackage").get_spec().specificationVersion == 9


SQUARES = ("convert", "nets_to_convert:squares", "-o", "net.mlpackage", "--input", "1,4")


def test_what_overflows_on_samples_stays_in_float32_and_is_printed(run: Run, folder: Path) -> None:
    np.savez(folder / "samples.npz", x=np.linspace(1, 300, 12, dtype=np.float32).reshape(3, 1, 4))
    assert run(*SQUARES).out == ""
    done = run(*SQUARES, "--data", "samples.npz")
    assert (done.code, done.err) == (0, "")
    first, second = done.out.splitlines()
    assert first == "mul stays in float32: its result reaches 90000 on the samples, beyond float16's range"
    assert second == "sqrt stays in float32: x reaches 90000 on the samples"
    report = json.loads(run(*SQUARES, "--data", "samples.npz", "--json").out)
    assert list(report["islands"]) == ["mul", "sqrt"]
    assert report["clamped"] == {}
    model = MLModel(folder / "net.mlpackage")
    model.run_options = RunOptions(precision="float16")
    (found,) = model.predict({"x": np.full((1, 4), 300, np.float32)}).values()
    np.testing.assert_array_equal(found, 600)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["nets_to_convert"], "no MODULE:FACTORY"),
        (["nets_to_convert:nothing"], "cannot be loaded"),
        (["nets_to_convert:make", "--input", "1,x"], "'x' is no size"),
        (["nets_to_convert:make"], "inputs is not given"),
        (["nets_to_convert:make", "--target", "iOS99"], "allowed: iOS13"),
        (["nets_to_convert:make", "--precision", "int8"], "allowed: float16, float32"),
        (["nets_to_convert:make", "--input", "1,4", "--data", "no.npz"], "no.npz"),
        (
            ["nets_to_convert:make", "--input", "1,4", "--data", "no.npz", "--precision", "float32"],
            "nothing can leave its range",
        ),
    ],
)
def test_what_is_wrong_is_said(run: Run, folder: Path, arguments: list[str], message: str) -> None:
    done = run("convert", *arguments, "-o", "net.mlpackage")
    assert done.code != 0
    assert message in done.err
    assert not (folder / "net.mlpackage").exists()
