"""Palettes whose errors count by the squares of scales: nothing overflows, vanishes or takes much memory."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from mlpress.bits import Tensor
from mlpress.encoding import Affine, Blocks, Dense, Lut, decode
from mlpress.errors import NonFiniteWeightError
from mlpress.fit.apply import Fitted
from mlpress.fit.integer_palette import fit_integer_groups
from mlpress.fit.layout import Layout
from mlpress.recipe import Palettize, Prune, Quantize, Stage
from tests.unit.fit.samples import fit, outcome, squared_error, weight

SCALED = Palettize(nbits=4, per_channel_scale=True)
TABLE = Quantize(granularity="per_tensor")


@pytest.mark.parametrize("size", [np.finfo(np.float32).min, np.float32(3e-34)])
@pytest.mark.parametrize(
    "stages",
    [
        (SCALED,),
        (SCALED, TABLE),
        (Quantize(), Palettize(nbits=4)),
        (Prune(sparsity=0.3), Quantize(), Palettize(nbits=4)),
    ],
)
def test_squares_of_scales_neither_overflow_nor_vanish(size: np.float32, stages: tuple[Stage, ...]) -> None:
    values = np.triu(np.full((64, 64), size), 1)
    decoded = decode(fit(values, *stages))
    np.testing.assert_allclose(decoded / size, values / size, atol=0.01)


def test_a_scale_that_is_not_finite_is_refused() -> None:
    codes, scale = np.ones((4, 4), np.int8), np.array([[1], [np.inf], [1], [1]], np.float16)
    with pytest.raises(NonFiniteWeightError, match="1 of 4 values are NaN or infinite"):
        fit_integer_groups(Dense(Tensor.from_numpy(codes)), scale, Blocks((4, 4), (1, 1)), 4)


@pytest.mark.parametrize("stages", [(SCALED,), (SCALED, TABLE), (Quantize(), Palettize(nbits=4))])
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_channels_of_zeros_stay_zero_and_cost_the_others_nothing(
    stages: tuple[Stage, ...], dtype: type
) -> None:
    values = weight((32, 48), dtype)
    values[4:8] = 0
    encoding = fit(values, *stages)
    assert not decode(encoding)[4:8].any()
    others = np.delete(values, slice(4, 8), axis=0)
    assert squared_error(values, encoding) <= 1.02 * squared_error(others, fit(others, *stages))


@pytest.mark.parametrize("stages", [(SCALED,), (SCALED, TABLE)])
def test_a_group_of_far_smaller_channels_has_a_table_of_its_own_size(stages: tuple[Stage, ...]) -> None:
    values = weight((32, 48), np.float32)
    values[16:] *= np.float32(1e-9)
    grouped = tuple(
        stage.model_copy(update={"group_size": 16}) if stage is SCALED else stage for stage in stages
    )
    decoded = decode(fit(values, *grouped))
    assert np.square(decoded - values)[16:].sum() < 0.02 * np.square(values[16:]).sum()


def test_each_weight_takes_the_nearest_of_its_channels_values() -> None:
    values = weight((16, 6, 3, 3))
    encoding = fit(values, Palettize(nbits=3, per_channel_scale=True, group_size=4))
    assert isinstance(encoding, Affine) and isinstance(encoding.data, Lut)
    assert isinstance(encoding.scale, Dense) and isinstance(encoding.data.table, Dense)
    scale = encoding.scale.values.numpy().astype(np.float64)
    tables = encoding.data.table.values.numpy().astype(np.float64).reshape(4, 8).repeat(4, axis=0)
    choices = tables[:, None, None, None] * scale[..., None]
    error = np.abs(decode(encoding).astype(np.float64) - values)
    best = np.abs(choices - values.astype(np.float64)[..., None]).min(axis=-1)
    assert (error <= best + 1e-3 * scale).all()


@pytest.mark.parametrize("stages", [(), (TABLE,)])
def test_a_single_channel_across_groups_has_one_scale(stages: tuple[Stage, ...]) -> None:
    values = np.sort(weight((64, 1)), axis=0)
    layout = Layout(output_axis=1, input_axis=0)
    stage = Palettize(nbits=4, per_channel_scale=True, group_size=16, channel_axis=0)
    encoding = fit(values, stage, *stages, layout=layout)
    signal = float(np.square(values.astype(np.float64)).sum())
    assert squared_error(values, encoding) < 1e-3 * signal


@pytest.mark.parametrize("axis", [0, 1])
def test_float16_and_float32_weights_have_the_same_error(axis: int) -> None:
    """One works with counts of distinct values, the other with the values."""
    values = weight((64, 64))
    stage = Palettize(nbits=4, per_channel_scale=True, group_size=8, channel_axis=axis)
    errors = [squared_error(values, fit(values.astype(dtype), stage)) for dtype in (np.float16, np.float32)]
    assert errors[0] == pytest.approx(errors[1], rel=0.01)


@pytest.mark.parametrize("stages", [(SCALED,), (SCALED, TABLE), (Quantize(), Palettize(nbits=4))])
def test_memory_stays_below_three_bytes_a_weight(stages: tuple[Stage, ...]) -> None:
    values = np.random.default_rng(0).standard_normal((2048, 2048), np.float32).astype(np.float16)
    outcome(values[:64], *stages)
    tracemalloc.start()
    try:
        result = outcome(values, *stages)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert isinstance(result, Fitted)
    assert peak < 3 * values.size + (4 << 20)
