"""What memory weights take: one copy if they are decoded, that of one weight if they are kept encoded."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlpress import Quantize, compress
from mlpress.kernels import encoded
from tests.large_package import write_large_package

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux's memory limits")

WEIGHTS = 24
SHAPE = (2048, 2048)
DECODED_BYTES = 4 * SHAPE[0] * SHAPE[1]
BOUND = 4 * DECODED_BYTES

RUN = """
import resource, sys
from pathlib import Path
import numpy as np
import torch
from mlpress import MLModel
from mlpress.runtime import Runner, RunOptions

weights, kernels, small, large, bound = sys.argv[1:]
torch.set_num_threads(1)

def run(path):
    runner = Runner(MLModel(path).program, "main", RunOptions(weights=weights, kernels=kernels))
    (x,) = runner.inputs.values()
    return runner({"x": np.ones(x.shape)})

run(small)
status = Path("/proc/self/status").read_text().splitlines()
used = next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmData:"))
resource.setrlimit(resource.RLIMIT_DATA, (used + int(bound),) * 2)
outputs = run(large)
assert all(output.any() for output in outputs.values())
print(len(outputs))
"""
"""Limits private memory to what the interpreter has with all code loaded, plus the bound."""


def run_within(
    bound: int, weights: str, kernels: str, packages: tuple[Path, Path]
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", RUN, weights, kernels, *map(str, packages), str(bound)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path]]:
    """A small package and a large one, of int4 weights."""
    folder = tmp_path_factory.mktemp("memory")
    made = []
    for name, count, shape in (("small", 1, (64, 64)), ("large", WEIGHTS, SHAPE)):
        plain = write_large_package(folder / f"{name}-plain.mlpackage", count, shape)
        path = folder / f"{name}.mlpackage"
        compress(plain, Quantize(dtype="int4", weight_threshold=0), strict=True).model.save(path)
        made.append(path)
    yield made[0], made[1]
    shutil.rmtree(folder)


@pytest.mark.parametrize("kernels", ["exact", "fast"])
def test_a_model_of_six_times_the_bound_runs_within_it(kernels: str, packages: tuple[Path, Path]) -> None:
    assert WEIGHTS * DECODED_BYTES == 6 * BOUND
    done = run_within(BOUND, "encoded", kernels, packages)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{WEIGHTS}\n"


def test_decoded_weights_do_not_fit(packages: tuple[Path, Path]) -> None:
    done = run_within(BOUND, "decoded", "exact", packages)
    assert done.returncode != 0
    assert "allocate memory" in done.stderr or "MemoryError" in done.stderr


def test_kernels_for_encoded_weights_need_none_decoded(packages: tuple[Path, Path]) -> None:
    done = run_within(BOUND, "decoded", "fast", packages)
    assert (done.returncode == 0) == encoded.is_fast(), done.stderr


COPIES = """
import sys
from pathlib import Path
import numpy as np
import torch
from mlpress import MLModel
from mlpress.runtime import Runner

def resident():
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmRSS:"))

def run(path):
    runner = Runner(MLModel(path).program, "main")
    (x,) = runner.inputs.values()
    runner({"x": np.ones(x.shape)})
    return runner

small = run(sys.argv[1])
before = resident()
large = run(sys.argv[2])
print(resident() - before)
"""


def test_a_file_does_not_stay_in_memory_beside_its_decoded_weights(tmp_path: Path) -> None:
    small, large = (
        write_large_package(tmp_path / f"{name}.mlpackage", weights, shape)
        for name, weights, shape in (("small", 1, (64, 64)), ("large", 12, (1024, 2048)))
    )
    command = [sys.executable, "-c", COPIES, str(small), str(large)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    decoded = 12 * 4 * 1024 * 2048
    assert decoded <= int(done.stdout) < 1.25 * decoded  # the file is half as large
