from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mlpress import MLModel
from tests.unit.cli.conftest import Run

FACTORY = """
import torch

def make():
    return torch.nn.Linear(4, 2).eval()

def exported():
    return torch.export.export(make(), (torch.zeros(1, 4),))
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


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["nets_to_convert"], "no MODULE:FACTORY"),
        (["nets_to_convert:nothing"], "cannot be loaded"),
        (["nets_to_convert:make", "--input", "1,x"], "'x' is no size"),
        (["nets_to_convert:make"], "inputs is not given"),
        (["nets_to_convert:make", "--target", "iOS99"], "allowed: iOS13"),
        (["nets_to_convert:make", "--precision", "int8"], "allowed: float16, float32"),
    ],
)
def test_what_is_wrong_is_said(run: Run, folder: Path, arguments: list[str], message: str) -> None:
    done = run("convert", *arguments, "-o", "net.mlpackage")
    assert done.code != 0
    assert message in done.err
    assert not (folder / "net.mlpackage").exists()
