"""The error in one pass is the error of the decoded weight, whatever the form."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlpress.bits import Tensor
from mlpress.encoding import Dense, decode
from mlpress.fit.error import squared_error_of
from mlpress.fit.layout import Layout
from mlpress.recipe import Palettize, Prune, Quantize, Stage
from tests.trees import encodings
from tests.unit.fit.samples import fit


def assert_same(weight: np.ndarray, encoding) -> None:
    wide = weight.astype(np.float64)
    expected = float(((wide - decode(encoding)) ** 2).sum()), float((wide**2).sum())
    found = squared_error_of(Dense(Tensor.from_numpy(weight)), encoding)
    assert found == pytest.approx(expected, rel=1e-12)


@given(encodings(), st.integers(0, 2**32 - 1))
@settings(max_examples=300, deadline=None)
def test_any_form(encoding, seed) -> None:
    noise = np.random.default_rng(seed).normal(size=encoding.shape)
    assert_same((decode(encoding) + noise).astype(encoding.dtype.storage), encoding)


@pytest.mark.parametrize(
    "stage",
    [
        Quantize(granularity="per_channel"),
        Quantize(granularity="per_channel", mode="linear", dtype="uint4"),
        Quantize(granularity="per_block", block_size=8),
        Quantize(granularity="per_block", block_size=(4, 8, 0, 0)),
        Quantize(granularity="per_tensor"),
        Palettize(nbits=4),
        Palettize(nbits=3, group_size=4),
        Palettize(nbits=2, group_size=4, channel_axis=1),
        Prune(sparsity=0.7),
    ],
    ids=str,
)
def test_every_way_to_lay_blocks_over_a_weight(stage: Stage) -> None:
    weight = np.random.default_rng(0).normal(size=(16, 24, 3, 5)).astype(np.float16)
    assert_same(weight, fit(weight, stage, layout=Layout()))
