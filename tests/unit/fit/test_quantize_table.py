"""Integer tables of palettized weights: small weights keep their precision, groups may differ in length."""

from __future__ import annotations

import numpy as np
import pytest

from mlpress.encoding import decode
from mlpress.fit.integer_table import fit_integer_table
from mlpress.recipe import Palettize, Prune, Quantize, Stage
from tests.unit.fit.samples import fit, squared_error, weight

TABLE = Quantize(granularity="per_tensor")


def snr(values: np.ndarray, *stages: Stage) -> float:
    """Signal to noise in dB, 200 at most."""
    error = squared_error(values, fit(values, *stages))
    signal = float(np.square(values.astype(np.float64)).sum())
    return float(10 * np.log10(signal / max(error, 1e-20 * signal)))


@pytest.mark.parametrize("deviation", [1e-2, 1e-4, 1e-5, 3e-6, 3e-7])
def test_small_weights_with_a_scale_per_channel(deviation: float) -> None:
    """Their scales are a few of float16's smallest steps; the table makes up for the rounding."""
    values = (np.random.default_rng(0).standard_normal((128, 256)) * deviation).astype(np.float16)
    scaled = Palettize(nbits=8, per_channel_scale=True)
    assert snr(values, scaled, TABLE) > snr(values, Quantize()) - 0.2
    scaled = Palettize(nbits=4, per_channel_scale=True)
    assert snr(values, scaled, TABLE) > snr(values, Palettize(nbits=4), TABLE) - 0.3


def test_small_channels_among_larger_ones() -> None:
    values = weight((32, 256))
    values[:16] *= np.float16(1e-4)
    encoding = fit(values, Palettize(nbits=6, per_channel_scale=True), TABLE)
    error = np.square(decode(encoding).astype(np.float64) - values).sum(axis=1)
    assert (error < 0.02 * np.square(values.astype(np.float64)).sum(axis=1)).all()


@pytest.mark.parametrize("mode", ["linear", "linear_symmetric"])
@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("before", [(), (Prune(sparsity=0.5),)])
def test_an_integer_table_costs_little(mode: str, dtype: str, before: tuple[Stage, ...]) -> None:
    values = weight((32, 64))
    stages = (*before, Palettize(nbits=4, per_channel_scale=True))
    table = Quantize(mode=mode, dtype=dtype, granularity="per_tensor")
    assert snr(values, *stages, table) > snr(values, *stages) - 0.1


@pytest.mark.parametrize("axis", [0, 1])
def test_groups_of_a_pruned_weight_keep_different_numbers_of_weights(axis: int) -> None:
    values = weight((32, 64))
    values[:8] *= np.float16(4)
    stages = (Prune(sparsity=0.6), Palettize(nbits=3, group_size=8, channel_axis=axis))
    pruned = decode(fit(values, stages[0]))
    decoded = decode(fit(values, *stages, TABLE))
    assert np.array_equal(decoded == 0, pruned == 0)
    assert snr(values, *stages, TABLE) > snr(values, *stages) - 0.1


def test_a_group_that_is_pruned_to_nothing_has_an_empty_table() -> None:
    values = weight((32, 48))
    values[:16] = 0
    stages = (Prune(threshold=0, minimum_sparsity=0.1), Palettize(nbits=4, group_size=16))
    assert not decode(fit(values, *stages, TABLE))[:16].any()
    assert snr(values, *stages, TABLE) > snr(values, *stages) - 0.1


def test_a_list_of_groups_is_fitted_like_an_array() -> None:
    groups = weight((4, 300))
    one = fit_integer_table(groups, 8, low=-127, high=127)
    other = fit_integer_table(list(groups), 8, low=-127, high=127)
    assert one.scale == other.scale
    assert np.array_equal(one.table, other.table)
    assert all(np.array_equal(*pair) for pair in zip(one.indices, other.indices, strict=True))
