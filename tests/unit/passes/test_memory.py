"""However large a model is, its compression takes memory for the weights in flight only."""

import shutil
import subprocess
import sys

import pytest

from mlpress import MLModel
from tests.large_package import write_large_package

WEIGHTS, FEW = 24, 4
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


def compress_within(bound, large, steps):
    """Compresses a large model by a recipe in another process that may not take more than `bound` bytes."""
    recipe, small = large.with_name("recipe.yaml"), large.with_name("small.mlpackage")
    recipe.write_text(f"steps: [{', '.join(steps)}]")
    command = [sys.executable, "-c", COMPRESS, str(recipe), str(small), str(large), str(bound)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("memory")
    write_large_package(made / "small.mlpackage", 1, (64, 64))
    write_large_package(made / "few.mlpackage", FEW, SHAPE)
    write_large_package(made / "large.mlpackage", WEIGHTS, SHAPE)
    yield made
    shutil.rmtree(made)


PRUNE, INT8 = "prune: {sparsity: 0.8}", "quantize: {dtype: int8}"
LITTLE = "prune: {sparsity: 0.1}"
HALF, TWO_OF_FOUR = "prune: {sparsity: 0.5}", "prune: {n_m_ratio: [2, 4]}"
PALETTIZE, IN_GROUPS = "palettize: {nbits: 4}", "palettize: {nbits: 4, group_size: 32}"
BY_INPUTS = "palettize: {nbits: 4, group_size: 32, channel_axis: 1}"
SCALED = "palettize: {nbits: 4, per_channel_scale: true}"
VECTORS = "palettize: {nbits: 4, cluster_dim: 2}"
VECTORS_OF_INPUTS = "palettize: {nbits: 4, cluster_dim: 2, channel_axis: 1}"
SCALED_BY_INPUTS = "palettize: {nbits: 4, group_size: 32, channel_axis: 1, per_channel_scale: true}"
INT4_BLOCKS = "quantize: {dtype: int4, granularity: per_block, block_size: 32}"
BLOCKS, BLOCKS_OF_INPUTS = (f"prune: {{sparsity: 0.5, block_size: 2, dim: {dim}}}" for dim in (0, 1))

STEPS = {
    "palettize": [PALETTIZE],
    "quantize": [INT8],
    "palettize in groups of inputs": [BY_INPUTS],
    "palettize vectors": [VECTORS],
    "palettize and prune": [PALETTIZE, PRUNE],
    "quantize and prune": [INT8, PRUNE],
    "quantize, prune and palettize": [INT8, PRUNE, PALETTIZE],
    "prune and palettize": [PRUNE, PALETTIZE],
    "prune and palettize by scales": [PRUNE, SCALED],
    "prune blocks and palettize vectors": [BLOCKS, VECTORS],
    "prune and quantize": [PRUNE, INT8],
    "prune, quantize and palettize": [PRUNE, INT8, PALETTIZE],
    "prune, palettize in groups and quantize": [PRUNE, IN_GROUPS, INT8],
    "prune, palettize in groups of inputs and quantize": [PRUNE, BY_INPUTS, INT8],
    "prune 2 of 4, palettize in groups and quantize": [TWO_OF_FOUR, IN_GROUPS, INT8],
    "palettize in groups of inputs and quantize": [BY_INPUTS, INT8],
    "quantize and prune blocks": [INT8, BLOCKS],
    "quantize and prune blocks of inputs": [INT8, BLOCKS_OF_INPUTS],
    "palettize vectors and prune blocks": [VECTORS, BLOCKS],
    "palettize longer vectors": ["palettize: {nbits: 4, cluster_dim: 4}"],
    "palettize and prune 2 of 4": [PALETTIZE, TWO_OF_FOUR],
    "quantize and prune 2 of 4": [INT8, TWO_OF_FOUR],
    "prune half and palettize in groups of inputs": [HALF, BY_INPUTS],
    "prune half and palettize by scales": [HALF, SCALED],
    "prune half, quantize and palettize": [HALF, INT8, PALETTIZE],
    "prune half, quantize and palettize in groups of inputs": [HALF, INT8, BY_INPUTS],
    "prune a little and palettize": [LITTLE, PALETTIZE],
    "prune a little and palettize in groups of inputs": [LITTLE, BY_INPUTS],
    "prune a little, palettize and quantize": [LITTLE, PALETTIZE, INT8],
    "prune a little, palettize in groups of inputs and quantize": [LITTLE, BY_INPUTS, INT8],
    "prune a little and quantize blocks": [LITTLE, INT4_BLOCKS],
    "prune half and palettize by scales in groups of inputs": [HALF, SCALED_BY_INPUTS],
    "prune blocks and palettize by scales in groups of inputs": [BLOCKS_OF_INPUTS, SCALED_BY_INPUTS],
    "quantize and palettize vectors": [INT8, VECTORS],
    "quantize blocks and palettize vectors": [INT4_BLOCKS, VECTORS],
    "quantize and palettize vectors of inputs": [INT8, VECTORS_OF_INPUTS],
}


@pytest.mark.parametrize("name", STEPS)
def test_each_weight_is_compressed_within_the_bound(folder, name):
    done = compress_within(BOUND, folder / "few.mlpackage", STEPS[name])
    assert done.returncode == 0, done.stderr
    compressed = MLModel(folder / "compressed.mlpackage")
    assert len(list(compressed.program.functions["main"].block.constants())) == FEW


def test_a_model_twelve_times_the_bound_is_compressed_within_it(folder):
    assert WEIGHTS * WEIGHT_BYTES >= 12 * BOUND
    done = compress_within(BOUND, folder / "large.mlpackage", [PRUNE, PALETTIZE, INT8])
    assert done.returncode == 0, done.stderr


def test_the_bound_bites(folder):
    done = compress_within(WEIGHT_BYTES // 4, folder / "few.mlpackage", [PALETTIZE])
    assert done.returncode != 0
    assert "MemoryError" in done.stderr
