"""However large a model is, its compression takes memory for the weights in flight only."""

import shutil
import subprocess
import sys

import pytest

from mlpress import MLModel
from tests.large_package import write_large_package

WEIGHTS = 24
SHAPE = (2048, 2048)
WEIGHT_BYTES = 2 * SHAPE[0] * SHAPE[1]
BOUND = 3 * SHAPE[0] * SHAPE[1] + (4 << 20)
"""Three bytes for each element of the weight in work, and what work of any size takes."""

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux's memory limits")

COMPRESS = """
import resource, sys
from pathlib import Path
from mlpress import MLModel, Recipe, compress

recipe, small, large, bound = sys.argv[1:]
recipe = Recipe.from_yaml(recipe)
compress(small, recipe).model.save(Path(large).with_name("loads-all-code.mlpackage"))
status = Path("/proc/self/status").read_text().splitlines()
used = next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmData:"))
resource.setrlimit(resource.RLIMIT_DATA, (used + int(bound),) * 2)
model, report = compress(large, recipe, strict=True)
model.save(Path(large).with_name("compressed.mlpackage"))
"""
"""Limits private memory to what the interpreter has with all code loaded, plus the bound. Mapped files that
are only read do not count."""


def compress_within(bound, small, large, folder, steps):
    """Compresses the large model by a recipe in another process that may not take more than `bound` bytes."""
    recipe = folder / "recipe.yaml"
    recipe.write_text(f"steps: {steps}")
    command = [sys.executable, "-c", COMPRESS, str(recipe), str(small), str(large), str(bound)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("memory")
    small = write_large_package(folder / "small.mlpackage", 1, (64, 64))
    yield small, write_large_package(folder / "large.mlpackage", WEIGHTS, SHAPE)
    shutil.rmtree(folder)


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param("[palettize: {nbits: 4}]", id="palettize"),
        pytest.param("[quantize: {dtype: int8}]", id="quantize"),
        pytest.param("[prune: {sparsity: 0.8}, palettize: {nbits: 4}]", id="prune and palettize"),
        pytest.param("[prune: {sparsity: 0.8}, quantize: {dtype: int8}]", id="prune and quantize"),
        pytest.param(
            "[prune: {sparsity: 0.8}, palettize: {nbits: 4, group_size: 32}, quantize: {dtype: int8}]",
            id="prune, palettize in groups and quantize",
        ),
    ],
)
def test_a_model_twelve_times_the_bound_is_compressed_within_it(packages, tmp_path, steps):
    _, large = packages
    assert WEIGHTS * WEIGHT_BYTES >= 12 * BOUND
    done = compress_within(BOUND, *packages, tmp_path, steps)
    assert done.returncode == 0, done.stderr
    compressed = MLModel(large.with_name("compressed.mlpackage"))
    assert len(list(compressed.program.functions["main"].block.constants())) == WEIGHTS


def test_the_bound_bites(packages, tmp_path):
    done = compress_within(WEIGHT_BYTES // 4, *packages, tmp_path, "[palettize: {nbits: 4}]")
    assert done.returncode != 0
    assert "MemoryError" in done.stderr
