from __future__ import annotations

import json
import os
import signal
import sys
from multiprocessing import active_children
from pathlib import Path

import numpy as np
import pytest

from mlpress import Quantize, compress
from mlpress.mil import Opset
from mlpress.ops.builder import Builder
from mlpress.verification import bench
from tests.torch.models.packages import counting_model
from tests.torch.runtime.programs import tensor_type
from tests.torch.verification.models import embedding, model
from tests.unit.cli.conftest import Run
from tests.unit.models.descriptions import array

WEIGHT_BYTES = 4 * 512 * 1024


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """A package with one weight in float32."""
    build = Builder(Opset.CoreML8)
    x = build.input("x", tensor_type(1, 1024))
    weight = np.random.default_rng(0).standard_normal((512, 1024)).astype(np.float32)
    y = build.op("linear", "y", x=x, weight=weight)
    path = tmp_path / "plain.mlpackage"
    model(build, {x: array("x", 1, 1024)}, {y: array("y")}).save(path)
    return path


def files_size(package: Path) -> int:
    return sum(file.stat().st_size for file in package.rglob("*") if file.is_file())


def test_two_models_side_by_side(run: Run, plain: Path, tmp_path: Path) -> None:
    small = tmp_path / "small.mlpackage"
    compress(plain, Quantize(dtype="int8")).model.save(small)
    outcome = run("bench", small, "--against", plain, "--rounds", 5, "--json")
    assert (outcome.code, outcome.err) == (0, "")
    found = json.loads(outcome.out)
    assert found["rounds"] == 5
    ours, theirs = found["models"]
    assert [ours["path"], theirs["path"]] == [str(small), str(plain)]
    assert [ours["nbytes"], theirs["nbytes"]] == [files_size(small), files_size(plain)]
    for one in (ours, theirs):
        assert 0 < one["median_seconds"] <= one["p95_seconds"]
        assert (one["memory"] is None) != Path("/proc/self/status").exists()
    # What the model takes, not what the interpreter with PyTorch does.
    assert theirs["memory"] is None or WEIGHT_BYTES < theirs["memory"] < 16 * WEIGHT_BYTES


def test_a_table_for_people(run: Run, plain: Path) -> None:
    outcome = run("bench", plain, "--against", plain, "--rounds", 2)
    lines = [line for line in outcome.out.splitlines() if line]
    columns = ["model", "median ms", "p95 ms", "memory bytes", "package bytes"]
    assert lines[0].split() == " ".join(columns).split()
    assert [line.split()[0] for line in lines[2:4]] == [str(plain)] * 2
    assert lines[-1].startswith("2 predictions each; the first takes ")
    assert lines[-1].endswith(" times the time and 1.00 times the bytes of the second")


def test_a_model_with_states_remembers_while_it_is_timed(tmp_path: Path) -> None:
    counting_model(2).save(tmp_path / "counting.mlpackage")
    (found,) = bench(tmp_path / "counting.mlpackage", rounds=2).rows
    assert found.median_seconds > 0


def test_models_of_other_inputs_are_not_compared(run: Run, plain: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.mlpackage"
    embedding(rows=3).save(other)
    outcome = run("bench", plain, "--against", other)
    assert outcome.code == 1
    assert "different inputs" in outcome.err


def test_what_fails_in_the_process_of_a_model_is_told(run: Run, tmp_path: Path) -> None:
    build = Builder(Opset.CoreML8)
    x = build.input("x", tensor_type(2))
    y = build.op("relu", "y", x=x)
    build.operations[-1].type = "unheard_of"
    path = tmp_path / "unknown.mlpackage"
    model(build, {x: array("x", 2)}, {y: array("y", 2)}).save(path)
    outcome = run("bench", path)
    assert outcome.code == 1
    assert outcome.err.startswith(
        "mlpress: 1 operations of the program cannot be run: unheard_of 'y' in main"
    )
    assert len(outcome.err.splitlines()) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_an_interrupt_is_left_to_the_one_who_asks(plain: Path) -> None:
    turns = []

    def interrupt(done: int, *_: object) -> None:
        turns.append(done)
        for child in active_children():
            assert child.pid is not None
            os.kill(child.pid, signal.SIGINT)

    assert bench(plain, rounds=11, progress=interrupt).rounds == turns[-1] == 11
    assert len(turns) > 1


def test_no_predictions(run: Run, plain: Path) -> None:
    assert run("bench", plain, "--rounds", 0).code == 2
