"""coremltools reads our packages with quantized activations, whatever their weights are stored as."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import coremltools as ct
import numpy as np
import pytest
from coremltools.converters.mil.frontend.milproto import load as milproto
from coremltools.models.utils import _convert_model_spec_to_pymil_prog

from mlpress import MLModel, Palettize, Prune, Quantize, Recipe, compress
from mlpress.api import quantize_activations
from tests.oracle.activations.graphs import chain, concatenated, flattened, sums
from tests.oracle.activations.peer import SHAPE, convert

_PALETTE = Palettize(nbits=2, weight_threshold=0)
RECIPES = {
    "float weights": None,
    "int8 weights": Recipe.of(Quantize(weight_threshold=0)),
    "palettes": Recipe.of(_PALETTE),
    "pruned": Recipe.of(Prune(sparsity=0.5, weight_threshold=0)),
}


@pytest.mark.parametrize("mode", ["linear_symmetric", "linear"])
@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES.keys())
@pytest.mark.parametrize("graph", [chain, concatenated, flattened, sums], ids=lambda graph: graph.__name__)
def test_coremltools_reads_it(graph: Any, recipe: Recipe | None, mode: str, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    samples = [{"x": random.standard_normal(SHAPE).astype(np.float32)} for _ in range(2)]
    model = quantize_activations(convert(graph), samples, Quantize(mode=mode)).model
    if recipe is not None:
        model = compress(model, recipe).model
    model.save(tmp_path / "a.mlpackage")
    theirs = ct.models.MLModel(str(tmp_path / "a.mlpackage"), skip_model_load=True)
    read = _convert_model_spec_to_pymil_prog(theirs, 8, milproto.load)
    kinds = [operation.op_type for operation in read.functions["main"].operations]
    ours = MLModel(tmp_path / "a.mlpackage").program.functions["main"].block.operations
    assert kinds.count("quantize") == sum(getattr(node, "type", "") == "quantize" for node in ours) > 0
