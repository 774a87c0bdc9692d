from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.torch.models.packages import classifier_model
from tests.torch.verification.models import half_network, network
from tests.unit.cli.conftest import Run

MODULE = """
import torch
from tests.torch.verification.test_torch_modules import Network

network = Network

def number():
    return 3
"""


@pytest.fixture
def reference(tmp_path: Path) -> Path:
    path = tmp_path / "reference.mlpackage"
    network().save(path)
    return path


@pytest.fixture
def changed(tmp_path: Path) -> Path:
    path = tmp_path / "changed.mlpackage"
    network("second").save(path)
    return path


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Name of a Python module in the working directory that makes the network."""
    (tmp_path / "my_network.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "my_network", raising=False)
    return "my_network"


def test_a_model_passes_against_itself(run: Run, reference: Path) -> None:
    outcome = run("verify", reference, reference, "--min-snr", 100)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.splitlines()[-1] == "8 samples; lowest SNR of an output: exact"


def test_below_the_bound_is_an_exit_code_of_its_own(run: Run, reference: Path, changed: Path) -> None:
    outcome = run("verify", reference, changed, "--min-snr", 60)
    assert outcome.code == 4
    assert outcome.err.startswith("mlpress: ")
    assert outcome.err.endswith("dB is below --min-snr 60\n")
    assert "lowest SNR of an output" in outcome.out
    assert run("verify", reference, changed, "--min-snr", 5).code == 0
    assert run("verify", reference, changed).code == 0


def test_says_where_accuracy_is_lost(run: Run, reference: Path, changed: Path) -> None:
    outcome = run("verify", reference, changed, "--per-op", "--min-snr", 60)
    assert outcome.code == 4
    assert "accuracy is lost at linear 'y': exact → " in outcome.err
    assert [line.split()[:2] for line in outcome.out.splitlines()[3:7]] == [
        ["operation", "SNR"],
        ["linear", "hidden"],
        ["relu", "active"],
        ["linear", "y"],
    ]


def test_json(run: Run, reference: Path, changed: Path) -> None:
    data = json.loads(run("verify", reference, changed, "--json", "--count", 3).out)
    assert data["samples"] == 3
    assert data["min_snr_db"] == data["outputs"][0]["snr_db"]
    assert 5 < data["min_snr_db"] < 60


def test_the_seed_decides_about_random_inputs(run: Run, reference: Path, changed: Path) -> None:
    first, again, other = (run("verify", reference, changed, "--seed", seed).out for seed in (1, 1, 2))
    assert first == again != other


def test_samples_in_a_file(run: Run, reference: Path, changed: Path, tmp_path: Path) -> None:
    samples = tmp_path / "samples.npz"
    np.savez(samples, x=np.random.default_rng(0).random((5, 2, 4)))
    assert json.loads(run("verify", reference, changed, "--samples", samples, "--json").out)["samples"] == 5
    folder = tmp_path / "folder"
    folder.mkdir()
    samples.rename(folder / "samples.npz")
    assert json.loads(run("verify", reference, changed, "--samples", folder, "--json").out)["samples"] == 5


def test_samples_that_do_not_fit(run: Run, reference: Path, tmp_path: Path) -> None:
    samples = tmp_path / "samples.npz"
    np.savez(samples, x=np.zeros(3))
    outcome = run("verify", reference, reference, "--samples", samples)
    assert outcome.code == 1
    assert "'x' has 1 axes; allowed: 2 for one value" in outcome.err


def test_a_missing_file_is_named(run: Run, reference: Path, tmp_path: Path) -> None:
    for arguments in ((reference, "none.mlpackage"), (reference, reference, "--samples", "none.npz")):
        outcome = run("verify", *arguments)
        assert outcome.code == 1
        assert "none." in outcome.err
        assert len(outcome.err.splitlines()) == 1


def test_a_torch_module_made_by_a_python_function(run: Run, reference: Path, module: str) -> None:
    assert run("verify", f"{module}:network", reference, "--min-snr", 100).code == 0
    assert run("verify", reference, f"{module}:network", "--min-snr", 100).code == 0


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("my_network:nothing", "cannot be found"),
        ("no_such_module:network", "cannot be found"),
        ("my_network:number", "returns a int; allowed: a torch module"),
    ],
)
def test_what_is_no_torch_module(run: Run, reference: Path, module: str, what: str, message: str) -> None:
    outcome = run("verify", what, reference)
    assert outcome.code == 2
    assert message in " ".join(outcome.err.split())


def test_rounding_to_float16(run: Run, tmp_path: Path, module: str) -> None:
    half_network().save(tmp_path / "half.mlpackage")
    plain, rounded = (
        json.loads(
            run("verify", f"{module}:network", "half.mlpackage", "--json", "--precision", precision).out
        )["min_snr_db"]
        for precision in ("float32", "float16")
    )
    assert 50 < rounded < plain


@pytest.mark.filterwarnings("default::mlpress.runtime.Float16RangeWarning")
def test_leaving_the_range_of_float16_is_told_once(run: Run, tmp_path: Path) -> None:
    half_network().save(tmp_path / "half.mlpackage")
    np.savez(tmp_path / "large.npz", x=np.full((3, 2, 4), 60000))
    arguments = ("verify", *[tmp_path / "half.mlpackage"] * 2, "--samples", tmp_path / "large.npz")
    outcome = run(*arguments, "--precision", "float16")
    assert outcome.code == 0
    (line,) = outcome.err.splitlines()
    assert line.startswith("mlpress: warning: linear 'hidden' has a result of ")
    assert run(*arguments[:3], "--precision", "float16").err == ""


def test_a_precision_that_does_not_exist(run: Run, reference: Path) -> None:
    assert run("verify", reference, reference, "--precision", "float8").code == 2


def test_a_classifier_shows_its_agreement(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "classifier.mlpackage"
    classifier_model(("cat", "dog")).save(path)
    assert "top-1 agreement 100.0%" in run("verify", path, path).out


def test_help_comes_without_torch_and_tells_the_exit_code(run: Run) -> None:
    assert "--min-snr was given and an output is below it" in run("--help").out
    assert "--per-op" in run("verify", "--help").out
