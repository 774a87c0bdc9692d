"""However many samples there are, calibration takes the memory of one."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux's memory limits")

SAMPLES = 64
SIZE = 512
SAMPLE_BYTES = 4 * 3 * SIZE * SIZE
BOUND = 48 << 20

CALIBRATE = """
import resource, sys
from pathlib import Path
import numpy as np
import torch
from mlpress.api import quantize_activations
from mlpress.calibration import MeanSquaredError, MinMax
from mlpress.mil import Opset
from mlpress.ops.builder import Builder
from tests.torch.runtime.programs import tensor_type
from tests.torch.verification.models import model
from tests.unit.models.descriptions import array

keep, estimator, count, size, bound = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])
torch.set_num_threads(1)
shape = (1, 3, size, size)
build = Builder(Opset.CoreML8)
x = build.input("x", tensor_type(*shape))
y = x
for index in range(2):
    y = build.op("conv", f"conv{index}", x=y, weight=np.ones((3, 3, 1, 1), np.float32))
net = model(build, {x: array("x", *shape)}, {y: array(y.name, *shape)})

def samples(count):
    random = np.random.default_rng(0)
    for _ in range(count):
        yield {"x": random.random(shape, np.float32)}

chosen = MinMax() if estimator == "minmax" else MeanSquaredError()
quantize_activations(net, samples(3), estimator=chosen)
status = Path("/proc/self/status").read_text().splitlines()
used = next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmData:"))
resource.setrlimit(resource.RLIMIT_DATA, (used + bound,) * 2)
given = samples(count) if keep == "stream" else list(samples(count))
assert len(quantize_activations(net, given, estimator=chosen).report) == 2
"""
"""Limits private memory to what a few samples took, plus the bound."""


def calibrate(keep: str, estimator: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", CALIBRATE, keep, estimator, *map(str, (SAMPLES, SIZE, BOUND))]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


@pytest.mark.parametrize("estimator", ["minmax", "mse"])
def test_samples_four_times_the_bound_stream_through(estimator: str) -> None:
    assert SAMPLES * SAMPLE_BYTES >= 4 * BOUND
    done = calibrate("stream", estimator)
    assert done.returncode == 0, done.stderr


def test_the_bound_bites() -> None:
    done = calibrate("keep", "minmax")
    assert done.returncode != 0
    assert "MemoryError" in done.stderr or "memory" in done.stderr
