"""What is seen of a value, and the range that comes of it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mlpress import Quantize
from mlpress.bits import FLOAT32
from mlpress.calibration import MeanSquaredError, MinMax, Percentile
from mlpress.calibration.observers import Histogram
from mlpress.errors import MlpressError
from mlpress.passes.activations import Range
from mlpress.passes.activations.grid import grid_of

SYMMETRIC, ASYMMETRIC = Quantize(), Quantize(mode="linear")
ESTIMATORS = [MinMax(), Percentile(), Percentile(99), MeanSquaredError()]

tensors = st.lists(
    st.lists(st.floats(-1e3, 1e3, width=32, allow_subnormal=False), min_size=1, max_size=40).map(
        torch.tensor
    ),
    min_size=1,
    max_size=5,
)


def range_of(estimator, parts, stage=SYMMETRIC):
    observer = estimator.observer()
    assert all(observer.see(part) for part in parts)
    return estimator.range(observer, stage)


def squared_error(values, between, stage):
    grid = grid_of(between, stage, FLOAT32)
    limits = np.iinfo(grid.dtype.storage)
    levels = np.clip(np.rint(values / grid.scale) + grid.zero_point, limits.min, limits.max)
    return float(np.sum((values - (levels - grid.zero_point) * grid.scale) ** 2))


@given(tensors)
def test_extremes_over_all_tensors(parts):
    """coremltools keeps those of the last sample only."""
    together = torch.cat(parts)
    assert range_of(MinMax(), parts) == Range(float(together.min()), float(together.max()))


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=repr)
@settings(max_examples=30)
@given(parts=tensors, stage=st.sampled_from([SYMMETRIC, ASYMMETRIC]))
def test_there_is_a_range_for_any_numbers(estimator, parts, stage):
    found = range_of(estimator, parts, stage)
    greatest = max(float(part.abs().max()) for part in parts)
    assert max(-found.low, found.high) <= greatest


@given(tensors)
def test_a_histogram_loses_no_number_when_it_widens(parts):
    histogram = Histogram()
    for part in parts:
        histogram.see(part)
    edges, counts = histogram.bins()
    values = torch.cat(parts).double().numpy()
    assert counts.sum() == values.size
    # Up to each edge there are as many numbers as in the data, but for those next to it.
    width = edges[1] - edges[0]
    below = np.concatenate([[0], np.cumsum(counts)])
    assert (below <= (values[:, None] <= edges + width).sum(axis=0)).all()
    assert (below >= (values[:, None] < edges - width).sum(axis=0)).all()


def test_percentiles_of_a_normal_distribution():
    values = torch.randn(200_000, generator=torch.Generator().manual_seed(0))
    found = range_of(Percentile(99.9), values.split(1000))
    low, high = np.quantile(values.numpy(), [0.001, 0.999])
    assert found.low == pytest.approx(low, abs=0.01)
    assert found.high == pytest.approx(high, abs=0.01)


def test_an_outlier_does_not_count_in_percentiles():
    values = torch.cat([torch.linspace(-1, 1, 100_000), torch.tensor([1000.0])])
    assert range_of(Percentile(), [values]).high == pytest.approx(1, abs=1)
    assert range_of(MinMax(), [values]).high == 1000


@pytest.mark.parametrize("stage", [SYMMETRIC, ASYMMETRIC], ids=["symmetric", "asymmetric"])
@pytest.mark.parametrize("outlier, gain", [(0, 1.0), (30, 0.95)])
def test_least_squared_error_is_near_the_best_there_is(stage, outlier, gain):
    """Beside a search over the numbers themselves; never worse than the extremes."""
    values = np.random.default_rng(0).standard_normal(50_000).astype(np.float32)
    values[0] = outlier
    found = range_of(MeanSquaredError(), torch.from_numpy(values).split(500), stage)
    parts = np.linspace(0.1, 1, 30)
    low, high = float(values.min()), float(values.max())
    if stage is SYMMETRIC:
        grids = [Range(-part * max(-low, high), part * max(-low, high)) for part in parts]
    else:
        grids = [Range(one * low, other * high) for one in parts for other in parts]
    best = min(squared_error(values, between, stage) for between in grids)
    assert squared_error(values, found, stage) <= 1.05 * best
    assert squared_error(values, found, stage) <= gain * squared_error(values, Range(low, high), stage)


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=repr)
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_what_is_not_finite_is_told(estimator, bad):
    observer = estimator.observer()
    assert observer.see(torch.tensor([1.0, 2.0]))
    assert not observer.see(torch.tensor([0.0, bad]))


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=repr)
def test_nothing_but_zeros(estimator):
    assert range_of(estimator, [torch.zeros(3)]) == Range(0, 0)


@pytest.mark.parametrize("percentile", [50, 100.1, float("nan")])
def test_percentiles_that_are_none(percentile):
    with pytest.raises(MlpressError, match="above 50, at most 100"):
        Percentile(percentile)
