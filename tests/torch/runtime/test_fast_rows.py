"""Embeddings whose weight stays encoded."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import mlpress
from mlpress import MLModel, Palettize, Prune, Quantize, RunOptions, compress
from mlpress.errors import ExecutionError
from mlpress.runtime.build import build
from mlpress.runtime.fast.encoded_rows import EncodedRows

TABLE = Palettize(nbits=4, weight_threshold=0)


class Tied(nn.Module):
    """An embedding whose weight is that of the last layer, too, as in language models."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(64, 32)

    def forward(self, ids: Tensor) -> Tensor:
        return nn.functional.linear(torch.tanh(self.embedding(ids)), self.embedding.weight)


def model(recipe: Any) -> MLModel:
    torch.manual_seed(0)
    ids = mlpress.TensorType("ids", (mlpress.RangeDim(1, 4, 2), 5), dtype="int32")
    made = mlpress.convert(Tied().eval(), inputs=[ids], minimum_deployment_target=mlpress.target.iOS18)
    return compress(made, recipe).model


def embeddings(made: MLModel, **options: Any) -> int:
    graph = build("main", made.program.functions["main"], RunOptions(**options))
    return sum(isinstance(module, EncodedRows) for module in graph.modules())


@pytest.mark.parametrize("weights", ["decoded", "encoded"])
@pytest.mark.parametrize(
    "recipe",
    [
        TABLE,
        Quantize(dtype="int8", weight_threshold=0),
        TABLE >> Quantize(dtype="int8", weight_threshold=0),
        Quantize(weight_threshold=10**6),
    ],
    ids=["table", "int8", "int8 table", "float16"],
)
def test_rows_are_decoded_when_they_are_used(recipe, weights):
    made = model(recipe)
    assert embeddings(made, weights=weights) == 1
    ids = np.random.default_rng(0).integers(0, 64, (3, 5))
    results = []
    for kernels in ("fast", "exact"):
        made.run_options = RunOptions(kernels=kernels, weights=weights)
        results.append(next(iter(made.predict({"ids": ids}).values())))
    np.testing.assert_allclose(*results, rtol=2**-9, atol=2**-9)


def test_sparse_weights_are_decoded_once():
    assert embeddings(model(Prune(sparsity=0.5, weight_threshold=0))) == 0


def test_weights_that_are_decoded_are_shared_with_the_exact_module():
    runner = model(Quantize(weight_threshold=10**6)).predictor.runner
    used, exact = (dict(module.named_parameters()) for module in (runner._used, runner.module))
    assert set(used) <= set(exact)
    assert all(used[name] is exact[name] for name in used)


def test_an_index_out_of_bounds_raises_as_it_does_with_exact_kernels():
    made = model(TABLE)
    for kernels in ("fast", "exact"):
        made.run_options = RunOptions(kernels=kernels)
        with pytest.raises(ExecutionError):
            made.predict({"ids": np.full((1, 5), 64)})
