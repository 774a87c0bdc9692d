"""The README's examples that run models, as they stand."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from examples.demo import convert
from examples.digits_network import digits, train
from mlpress import Palettize, compress
from tests.readme import blocks, commands
from tests.unit.cli.conftest import Run

IMAGE = np.zeros((1, 1, 8, 8), np.float32)


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("readme")
    convert(train(digits())).save(made / "model.mlpackage")
    compress(made / "model.mlpackage", Palettize(nbits=8)).model.save(made / "small.mlpackage")
    np.save(made / "digit.npy", IMAGE)
    return made


@pytest.fixture
def folder(packages: Path, tmp_path: Path) -> Path:
    """A copy of the packages, which examples may replace."""
    return Path(shutil.copytree(packages, tmp_path / "copy"))


@pytest.mark.parametrize("code", blocks("python", torch=True))
def test_python(code: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    given = {"image": IMAGE, "module": torch.nn.Conv2d(3, 4, 3).eval(), "samples": [{"image": IMAGE}]}
    exec(compile(code, "README.md", "exec"), given)


def test_command_line(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    assert len(commands(torch=True)) == 3
    for command in commands(torch=True):
        outcome = run(*shlex.split(command)[1:])
        assert outcome.code == 0, outcome.err
