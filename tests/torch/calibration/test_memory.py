"""However many samples there are, calibration takes the memory of one."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux's memory limits")

SAMPLES = 128
SIZE = 512
SAMPLE_BYTES = 4 * 3 * SIZE * SIZE
BOUND = 96 << 20

CALIBRATE = """
import resource, sys
from pathlib import Path
import numpy as np
import torch
from mlpress import Palettize, Quantize, compress
from mlpress.api import quantize_activations
from mlpress.calibration import MeanSquaredError, MinMax
from mlpress.mil import Opset
from mlpress.ops.builder import Builder
from tests.torch.runtime.programs import tensor_type
from tests.torch.verification.models import model
from tests.unit.models.descriptions import array

keep, what, count, size, bound = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])
torch.set_num_threads(1)
shape = (1, 3, size, size)
build = Builder(Opset.CoreML8)
x = build.input("x", tensor_type(*shape))
y = x
for index in range(2):
    weight = np.full((3, 3, 2, 1), index + 1, np.float32)
    y = build.op("conv", f"conv{index}", x=y, weight=weight, pad_type="same")
net = model(build, {x: array("x", *shape)}, {y: array(y.name, *shape)})

def samples(count):
    random = np.random.default_rng(0)
    for _ in range(count):
        yield {"x": random.random(shape, np.float32)}

def calibrate(given):
    if what == "gptq":
        return compress(net, Quantize(method="gptq", weight_threshold=0), data=given, strict=True).report
    if what == "sensitive":
        recipe = Palettize(nbits=1, method="sensitive", weight_threshold=0)
        return compress(net, recipe, data=given, strict=True).report
    estimator = MinMax() if what == "minmax" else MeanSquaredError()
    return quantize_activations(net, given, estimator=estimator).report

calibrate(samples(3))
status = Path("/proc/self/status").read_text().splitlines()
used = next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmData:"))
resource.setrlimit(resource.RLIMIT_DATA, (used + bound,) * 2)
given = samples(count) if keep == "stream" else list(samples(count))
assert len(calibrate(given)) == 2
"""
"""Limits private memory to what a few samples took, plus the bound."""

ALLOCATOR = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": str(1 << 20)}
"""Large blocks go back to the system when they are freed; else chance decides how much malloc holds."""


def calibrate(keep: str, what: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", CALIBRATE, keep, what, *map(str, (SAMPLES, SIZE, BOUND))]
    environment = {**os.environ, **ALLOCATOR}
    return subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment)


@pytest.mark.parametrize("what", ["minmax", "mse", "gptq", "sensitive"])
def test_samples_four_times_the_bound_stream_through(what: str) -> None:
    assert SAMPLES * SAMPLE_BYTES >= 4 * BOUND
    done = calibrate("stream", what)
    assert done.returncode == 0, done.stderr


def test_the_bound_bites() -> None:
    done = calibrate("keep", "minmax")
    assert done.returncode != 0
    assert "MemoryError" in done.stderr or "memory" in done.stderr
