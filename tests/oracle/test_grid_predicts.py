"""Every compressed form of the grid predicts what its decompressed twin predicts.

Decompressing stores the values that predicting decodes, in the same element type, and the programs are the
same otherwise. So not a bit may differ, whether weights are decoded once or at each use. Kernels that compute
on the encoding may round elsewhere, by less than a weight's rounding to float16.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mlpress.optimize.coreml as ours
from mlpress.models import MLModel
from mlpress.runtime import RunOptions
from tests.oracle.cases import Case, Steps, grid
from tests.oracle.chains import chains

Compress = Callable[[Steps, str], MLModel]

_RANDOM = np.random.default_rng(0)
INPUTS = {
    "x": _RANDOM.standard_normal((2, 64)),
    "image": _RANDOM.standard_normal((1, 16, 8, 8)),
    "ids": np.array([0, 42, 159]),
}

LEFT_ALONE = "prune below 0.02"
"""Fewer weights are that small than the configuration asks for."""


@pytest.fixture(scope="module")
def compress(built: Callable[[str], Any]) -> Compress:
    """Takes steps on the model of every kind of weight, each beginning of a list of steps once."""

    @cache
    def run_steps(steps: Steps, target: str) -> MLModel:
        if not steps:
            return MLModel(built(target))
        return steps[-1].run(ours, run_steps(steps[:-1], target), joint=len(steps) > 1)

    return run_steps


@pytest.mark.parametrize("case", [case for case in grid() if case.expressible], ids=str)
def test_case(case: Case, compress: Compress, tmp_path: Path) -> None:
    path = tmp_path / "model.mlpackage"
    compressed = compress(case.steps, case.target)
    compressed.save(path)

    twin = ours.decompress_weights(compressed)
    assert bool(chains(compressed.get_spec())) == (case.name != LEFT_ALONE)
    assert not chains(twin.get_spec())

    expected = twin.predict(INPUTS)
    for weights, kernels in product(("decoded", "encoded"), ("exact", "fast")):
        found = MLModel(path, run_options=RunOptions(weights=weights, kernels=kernels)).predict(INPUTS)
        assert found.keys() == expected.keys()
        for name, values in expected.items():
            error, allowed = np.linalg.norm(found[name] - values), 0 if kernels == "exact" else 2**-10
            assert error <= allowed * np.linalg.norm(values), (name, weights, kernels)
