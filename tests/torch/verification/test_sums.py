from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mlpress.verification.rows import Row
from mlpress.verification.sums import Sums

NAN, INF = math.nan, math.inf

finite = arrays.arrays(np.float32, (3, 4), elements=st.floats(-1000, 1000, width=32, allow_subnormal=False))


def compare(reference: object, value: object) -> Row:
    sums = Sums()
    sums.add(np.asarray(reference), np.asarray(value))
    return sums.row("y")


def test_the_figures_of_a_small_example() -> None:
    row = compare([3.0, 4.0], [3.0, 3.0])
    assert row.elements == 2
    assert row.snr_db == pytest.approx(10 * math.log10(25 / 1))
    assert row.cosine == pytest.approx((9 + 12) / (5 * math.sqrt(18)))
    assert row.max_abs_error == 1
    assert row.relative_error == pytest.approx(1 / 5)


@given(finite, finite)
def test_any_split_into_samples_gives_the_same_figures(reference: np.ndarray, value: np.ndarray) -> None:
    whole, parts = compare(reference, value), Sums()
    for ours, theirs in zip(reference, value, strict=True):
        parts.add(ours, theirs)
    split = parts.row("y")
    assert split.elements == whole.elements
    for name in ("snr_db", "cosine", "max_abs_error", "relative_error"):
        assert getattr(split, name) == pytest.approx(getattr(whole, name), abs=1e-9), name


@given(finite)
def test_equal_arrays_are_exact(array: np.ndarray) -> None:
    row = compare(array, array.copy())
    assert (row.snr_db, row.cosine, row.max_abs_error, row.relative_error) == (INF, 1, 0, 0)


def test_halving_the_error_gains_six_decibels() -> None:
    reference = np.random.default_rng(0).standard_normal(1000)
    noise = np.random.default_rng(1).standard_normal(1000)
    coarse, fine = (compare(reference, reference + scale * noise).snr_db for scale in (0.02, 0.01))
    assert fine - coarse == pytest.approx(20 * math.log10(2))


def test_noise_on_zeros() -> None:
    row = compare([0.0, 0.0], [0.0, 0.5])
    assert (row.snr_db, row.cosine, row.max_abs_error, row.relative_error) == (-INF, None, 0.5, INF)


def test_a_value_that_is_zero() -> None:
    row = compare([1.0, 2.0], [0.0, 0.0])
    assert (row.snr_db, row.cosine, row.relative_error) == (0, None, 1)


@pytest.mark.parametrize(
    ("reference", "value"),
    [(1.0, NAN), (NAN, 1.0), (1.0, INF), (INF, -INF), (INF, NAN), (-INF, 2.0)],
)
def test_what_is_not_finite_on_one_side_is_never_hidden(reference: float, value: float) -> None:
    row = compare([1.0, reference, 5.0], [1.0, value, 5.0])
    assert row.snr_db == -INF
    assert (row.cosine, row.max_abs_error, row.relative_error) == (None, INF, INF)
    assert row.nonfinite_differences == 1
    assert row.nonfinite_reference == int(not math.isfinite(reference))
    assert row.nonfinite_model == int(not math.isfinite(value))


@pytest.mark.parametrize("same", [NAN, INF, -INF])
def test_what_is_not_finite_on_both_sides_is_counted_and_left_out(same: float) -> None:
    row = compare([3.0, same, 4.0], [3.0, same, 3.0])
    assert row.snr_db == compare([3.0, 4.0], [3.0, 3.0]).snr_db
    assert (row.nonfinite_reference, row.nonfinite_model, row.nonfinite_differences) == (1, 1, 0)


def test_sums_are_in_double_precision() -> None:
    reference = np.full(1000, 60000, np.float16)  # squares are far outside float16
    value = reference - np.float16(32)
    assert compare(reference, value).snr_db == pytest.approx(20 * math.log10(60000 / 32), abs=0.01)


@pytest.mark.parametrize("dtype", [np.int32, np.int8, np.uint8, np.bool_])
def test_integers_do_not_wrap_around(dtype: type) -> None:
    top = np.array([np.iinfo(dtype).max if dtype is not np.bool_ else True, 0], dtype)
    assert compare(top[::-1], top).max_abs_error == float(top[0])


def test_no_elements() -> None:
    assert compare(np.zeros((0, 3)), np.zeros((0, 3))).snr_db == INF
