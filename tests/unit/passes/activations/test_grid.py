"""Scale and zero point of a range."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mlpress import Quantize
from mlpress.bits import FLOAT16, FLOAT32, INT8, UINT8
from mlpress.errors import MlpressError
from mlpress.passes.activations import Range
from mlpress.passes.activations.grid import Grid, grid_of

ends = st.floats(-60000, 60000)
stages = st.sampled_from(
    [
        Quantize(dtype=dtype, mode=mode)
        for dtype in ("int8", "uint8")
        for mode in ("linear_symmetric", "linear")
    ]
)


@pytest.mark.parametrize(
    "low, high, stage, expected",
    [
        (-1.27, 1, Quantize(), Grid(INT8, 0.01, 0)),
        (0, 1.27, Quantize(dtype="uint8"), Grid(UINT8, 0.01, 127)),
        (-0.5, 2.05, Quantize(mode="linear"), Grid(INT8, 0.01, -78)),
        (-0.5, 2.05, Quantize(mode="linear", dtype="uint8"), Grid(UINT8, 0.01, 50)),
        (1, 2.55, Quantize(mode="linear", dtype="uint8"), Grid(UINT8, 0.01, 0)),
        (0, 2.55, Quantize(mode="linear"), Grid(UINT8, 0.01, 0)),  # -128 in int8 is 0 in uint8
        (-1.28, 1.27, Quantize(mode="linear", dtype="uint8"), Grid(INT8, 0.01, 0)),  # 128 is 0 in int8
    ],
)
def test_examples(low: float, high: float, stage: Quantize, expected: Grid) -> None:
    grid = grid_of(Range(low, high), stage, FLOAT32)
    assert (grid.dtype, grid.zero_point) == (expected.dtype, expected.zero_point)
    assert grid.scale == pytest.approx(expected.scale, rel=1e-6)


@pytest.mark.parametrize("mode", ["linear_symmetric", "linear"])
def test_nothing_but_zeros(mode: str) -> None:
    assert grid_of(Range(0, 0), Quantize(mode=mode), FLOAT16).scale == 1


@given(ends, ends, stages)
def test_numbers_of_the_range_come_back_within_half_a_step(one: float, other: float, stage: Quantize) -> None:
    between = Range(min(one, other), max(one, other))
    grid = grid_of(between, stage, FLOAT32)
    assume(grid.scale >= np.finfo(np.float32).tiny)  # smaller ones have too few digits
    limits = np.iinfo(grid.dtype.storage)
    numbers = np.linspace(between.low, between.high, 101)
    levels = np.clip(np.rint(numbers / grid.scale) + grid.zero_point, limits.min, limits.max)
    back = (levels - grid.zero_point) * grid.scale
    # The zero point is rounded too, which may move an end by another half.
    assert np.abs(back - numbers).max() <= grid.scale * 1.001


@given(ends, stages)
def test_scales_are_numbers_that_float16_has(end: float, stage: Quantize) -> None:
    scale = grid_of(Range(min(end, 0), max(end, 0)), stage, FLOAT16).scale
    assert 0 < scale < math.inf
    assert float(np.float16(scale)) == scale


@pytest.mark.parametrize("low, high", [(1, 0), (-math.inf, 0), (0, math.nan)])
def test_no_range(low: float, high: float) -> None:
    with pytest.raises(MlpressError, match="two finite numbers"):
        Range(low, high)
