"""Integer look-up tables with one scale: the choice of entries is exact, and the scale near the best."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlpress import kernels
from mlpress.fit.integer_table import IntegerTable, fit_integer_table, fit_integer_table_asymmetric
from mlpress.fit.kmeans import kmeans_groups

per_variant = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=100
)
seeds = st.integers(0, 2**32 - 1)


def decode(fitted: IntegerTable) -> np.ndarray:
    """The weights as Core ML computes them: a float32 product rounded to the weights' dtype."""
    entries = np.take_along_axis(fitted.table, fitted.indices.astype(np.int64), axis=1)
    steps = entries.astype(np.float32) - np.float32(fitted.offset)
    return (steps * np.float32(fitted.scale)).astype(fitted.scale.dtype)


def error_of(fitted: IntegerTable, groups: np.ndarray) -> float:
    return float(np.sum((decode(fitted).astype(np.float64) - groups.astype(np.float64)) ** 2))


def quantized_afterwards(groups: np.ndarray, k: int) -> float:
    """The error of the plain way: cluster first, then round the table to int8 by its largest entry."""
    found = kmeans_groups(groups, k)
    scale = groups.dtype.type(np.abs(found.table).max() / 127)
    table = np.rint(found.table.astype(np.float64) / float(scale)).astype(np.int8)
    return error_of(IntegerTable(table, scale, 0, found.indices), groups)


@pytest.mark.usefixtures("variant")
@per_variant
@given(size=st.integers(1, 7), count=st.integers(1, 30), k=st.integers(1, 7), seed=seeds)
def test_the_chosen_points_are_the_best_of_all_choices(size: int, count: int, k: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    k = min(k, size)
    values = np.unique(rng.normal(size=count).round(2))
    masses = rng.integers(1, 5, values.size).astype(np.float64)
    moments = np.zeros((values.size + 1, 3))
    moments[1:] = np.cumsum(masses[:, None] * values[:, None] ** np.arange(3), axis=0)
    halves = np.linspace(-1.5, 1.7, 2 * size - 1) if size > 1 else np.array([0.1])
    points = halves[::2]

    chosen, error = kernels.choose_points(values, moments, points, halves, k)
    distance = (values[:, None] - points) ** 2
    errors = {some: masses @ distance[:, some].min(axis=1) for some in combinations(range(size), k)}
    assert error == pytest.approx(min(errors.values()), abs=1e-9)
    assert errors[tuple(chosen.tolist())] == pytest.approx(error, abs=1e-9)


@pytest.mark.usefixtures("variant")
def test_choose_points_names_bad_arguments() -> None:
    values, moments = np.zeros(2), np.zeros((3, 3))
    with pytest.raises(ValueError, match=r"moments has shape \(2, 3\); \(3, 3\) is expected"):
        kernels.choose_points(values, moments[:2], np.zeros(2), np.zeros(3), 1)
    with pytest.raises(ValueError, match="2 points and 2 halves"):
        kernels.choose_points(values, moments, np.zeros(2), np.zeros(2), 1)
    with pytest.raises(ValueError, match="k is 3; allowed are 1 to 2"):
        kernels.choose_points(values, moments, np.zeros(2), np.zeros(3), 3)
    with pytest.raises(ValueError, match="points and halves must be finite"):
        kernels.choose_points(values, moments, np.array([0, np.inf]), np.zeros(3), 1)


@pytest.mark.parametrize("k", [4, 16, 64, 256])
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_fitting_on_the_grid_beats_rounding_the_table_afterwards(k: int, dtype: type) -> None:
    groups = (np.random.default_rng(k).normal(size=(1, 3000)) * 0.05).astype(dtype)
    fitted = fit_integer_table(groups, k, low=-127, high=127)
    assert fitted.table.dtype == np.int8
    assert fitted.scale.dtype == dtype
    assert fitted.table.min() >= -127
    limit = {4: 1.0, 16: 1.0, 64: 0.95, 256: 0.8}[k]
    assert error_of(fitted, groups) <= limit * quantized_afterwards(groups, k)


@pytest.mark.parametrize("k", [3, 16, 256])
def test_the_scale_is_near_the_best_of_a_fine_scan(k: int) -> None:
    groups = (np.random.default_rng(k).standard_t(3, size=(1, 1000)) * 0.05).astype(np.float32)
    values, masses = kernels.distinct_values(groups[0])
    moments = np.zeros((values.size + 1, 3))
    moments[1:] = np.cumsum(masses[:, None] * values[:, None] ** np.arange(3), axis=0)
    halves = np.arange(-254, 255) / 2
    peak = float(np.abs(groups).max())
    scan = min(
        kernels.choose_points(values, moments, scale * halves[::2], scale * halves, min(k, 255))[1]
        for scale in np.geomspace(0.05 * peak / 127, 1.1 * peak / 127, 150)
    )
    assert error_of(fit_integer_table(groups, k, low=-127, high=127), groups) <= 1.01 * scan


def test_every_weight_takes_the_nearest_decoded_entry() -> None:
    groups = np.random.default_rng(0).normal(size=(3, 500)).astype(np.float16)
    fitted = fit_integer_table(groups, 8, low=-127, high=127)
    decoded = (fitted.table.astype(np.float32) * np.float32(fitted.scale)).astype(np.float16)
    distance = np.abs(groups.astype(np.float64)[:, :, None] - decoded.astype(np.float64)[:, None])
    assert np.array_equal(fitted.indices, distance.argmin(axis=2))


def test_all_groups_share_the_scale() -> None:
    rng = np.random.default_rng(1)
    groups = (rng.normal(size=(20, 200)) * rng.uniform(0.5, 2, (20, 1))).astype(np.float16)
    fitted = fit_integer_table(groups, 16, low=-127, high=127)
    assert fitted.table.shape == (20, 16)
    assert np.ndim(fitted.scale) == 0
    assert error_of(fitted, groups) <= quantized_afterwards(groups, 16)


def test_uint8_tables_have_an_offset() -> None:
    groups = np.random.default_rng(2).normal(size=(1, 400)).astype(np.float16)
    signed = fit_integer_table(groups, 16, low=-127, high=127)
    unsigned = fit_integer_table(groups, 16, low=0, high=254, offset=127)
    assert unsigned.table.dtype == np.uint8
    assert np.array_equal(decode(unsigned), decode(signed))


def test_a_searched_offset_suits_one_sided_weights() -> None:
    groups = np.abs(np.random.default_rng(3).normal(size=(1, 3000))).astype(np.float16)
    symmetric = fit_integer_table(groups, 256, low=-127, high=127)
    asymmetric = fit_integer_table_asymmetric(groups, 256, low=-128, high=127)
    assert asymmetric.offset < -100
    assert error_of(asymmetric, groups) < 0.35 * error_of(symmetric, groups)
    assert fit_integer_table_asymmetric(groups, 256, low=0, high=255).offset < 28


def test_an_old_palette_is_fitted_again_by_its_entries_and_their_counts() -> None:
    weights = np.random.default_rng(4).normal(size=(1, 5000)).astype(np.float16)
    old = kmeans_groups(weights, 16)
    counts = np.bincount(old.indices[0], minlength=16).astype(np.float32)
    palettized = old.table[0][old.indices]

    again = fit_integer_table(old.table, 16, low=-127, high=127, weights=counts[None])
    direct = fit_integer_table(palettized, 16, low=-127, high=127)
    assert again.scale == direct.scale
    assert np.array_equal(decode(again)[0][old.indices[0]], decode(direct)[0])


def test_entries_that_no_weight_uses_stand_at_the_end_and_decode_to_zero() -> None:
    groups = np.array([[-1.0, 1.0, 1.0], [0.5, 1.0, -1.0]], np.float16)
    fitted = fit_integer_table(groups, 4, low=0, high=254, offset=127)
    assert np.allclose(decode(fitted), groups, atol=1e-3)
    assert fitted.table[0, 2:].tolist() == [127, 127]
    assert fitted.table[1, 3:].tolist() == [127]
    assert (np.diff(fitted.table[0, :2].astype(int)) > 0).all()


@pytest.mark.parametrize("low, high, offset", [(-127, 127, 0), (0, 254, 127)])
def test_zeros_stay_zeros(low: int, high: int, offset: int) -> None:
    fitted = fit_integer_table(np.zeros((2, 5), np.float16), 4, low=low, high=high, offset=offset)
    assert fitted.offset == offset
    assert not decode(fitted).any()
    assert not decode(fit_integer_table_asymmetric(np.zeros((2, 5), np.float16), 4, low=low, high=high)).any()


@pytest.mark.parametrize("shape", [(0, 7), (3, 0)])
def test_nothing_to_fit_is_no_error(shape: tuple[int, int]) -> None:
    fitted = fit_integer_table(np.zeros(shape, np.float16), 4, low=-127, high=127)
    assert fitted.table.shape == (shape[0], 4)
    assert fitted.indices.shape == shape


@pytest.mark.parametrize("peak", [65504, 1e-6, 6e-8])
def test_extreme_magnitudes_have_usable_scales(peak: float) -> None:
    groups = (np.linspace(-1, 1, 50) * peak).astype(np.float16)[None]
    fitted = fit_integer_table(groups, 16, low=-127, high=127)
    assert np.isfinite(decode(fitted)).all()
    assert error_of(fitted, groups) <= 0.02 * float((groups.astype(np.float64) ** 2).sum()) + 50 * (3e-8) ** 2


def test_one_entry_and_one_sided_grids() -> None:
    groups = np.array([[1.0, 2.0, 3.0]], np.float32)
    assert decode(fit_integer_table(groups, 1, low=-127, high=127)).tolist() == [
        [pytest.approx(2, rel=1e-6)] * 3
    ]
    assert not decode(fit_integer_table(groups, 2, low=-127, high=0)).any()


def test_bad_arguments_are_named() -> None:
    groups = np.ones((1, 3), np.float16)
    with pytest.raises(ValueError, match=r"int8 with 1 dimensions; float16 or float32 \[G, n\] is expected"):
        fit_integer_table(np.ones(3, np.int8), 4, low=-127, high=127)
    with pytest.raises(ValueError, match="k is 0; allowed are 1 to 256"):
        fit_integer_table(groups, 0, low=-127, high=127)
    with pytest.raises(ValueError, match="low and high are -1 and 255"):
        fit_integer_table(groups, 4, low=-1, high=255)
    with pytest.raises(ValueError, match="offset is 128; allowed are -127 to 127"):
        fit_integer_table(groups, 4, low=-127, high=127, offset=128)
    with pytest.raises(ValueError, match="1 of 3 values are not finite"):
        fit_integer_table(np.array([[1, np.inf, 2]], np.float16), 4, low=-127, high=127)
    with pytest.raises(ValueError, match="the scale is 0"):
        IntegerTable(np.zeros((1, 4), np.int8), np.float16(0), 0, np.zeros((1, 9), np.uint8))
    with pytest.raises(ValueError, match=r"\[G, k\] and \[G, n\]"):
        IntegerTable(np.zeros((1, 4), np.int8), np.float16(1), 0, np.zeros((2, 9), np.uint8))
