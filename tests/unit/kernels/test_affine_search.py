"""The search for scales: what it promises, and that the compiled search finds what its NumPy twin finds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mlpress.errors import NonFiniteWeightError
from mlpress.fit.affine import (
    AffineParameters,
    asymmetric_parameters,
    quantize_rows,
    quantize_rows_nearest,
    search_asymmetric,
    search_symmetric,
    symmetric_parameters,
)
from mlpress.kernels.reference import affine_search as reference
from tests.affine_rows import decoded

pytestmark = pytest.mark.usefixtures("variant")
per_variant = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=100
)


def squared_error(rows: Any, parameters: AffineParameters, codes: Any) -> Any:
    return np.square(decoded(codes, parameters).astype(float) - rows).sum(axis=1)


def normal_rows(dtype: Any, count: int = 64, size: int = 300) -> Any:
    return (np.random.default_rng(0).standard_normal((count, size)) * 0.05).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize(
    ("low", "high", "offset", "ratio"), [(-7, 7, 0, 0.85), (0, 14, 7, 0.85), (-127, 127, 0, 0.99)]
)
def test_symmetric_search_beats_the_largest_magnitude(
    dtype: Any, low: int, high: int, offset: int, ratio: float
) -> None:
    rows = normal_rows(dtype)
    plain = symmetric_parameters(rows, low, high, offset)
    found = search_symmetric(rows, low, high, offset)
    before = squared_error(rows, plain, quantize_rows(rows, plain, low, high))
    after = squared_error(rows, found, quantize_rows_nearest(rows, found, low, high))
    assert after.sum() < ratio * before.sum()


def test_asymmetric_search_moves_the_zero_point_away_from_an_outlier() -> None:
    rows = normal_rows(np.float16)
    rows[:, 0] = -1
    plain = asymmetric_parameters(rows, -8, 7)
    found = search_asymmetric(rows, -8, 7)
    before = squared_error(rows, plain, quantize_rows(rows, plain, -8, 7))
    after = squared_error(rows, found, quantize_rows_nearest(rows, found, -8, 7))
    assert after.sum() < 0.9 * before.sum()
    assert found.zero_point is not None and (found.zero_point != plain.zero_point).any()


def test_a_scale_for_int4_is_close_to_the_best_of_all() -> None:
    rows = normal_rows(np.float32, count=4, size=128)
    found = search_symmetric(rows, -7, 7, 0)
    after = squared_error(rows, found, quantize_rows_nearest(rows, found, -7, 7))
    for row, error in zip(rows, after, strict=True):
        scales = np.abs(row).max() / 7 * np.linspace(0.2, 1.1, 20_000, dtype=np.float32)[:, None]
        codes = np.clip(np.rint(row / scales), -7, 7)
        assert error <= 1.02 * np.square(codes * scales - row).sum(axis=1).min()


@per_variant
@given(data=st.data(), dtype=st.sampled_from([np.float16, np.float32]))
def test_no_row_gets_worse(data: st.DataObject, dtype: Any) -> None:
    shape = (data.draw(st.integers(0, 4)), data.draw(st.integers(0, 40)))
    largest = data.draw(st.sampled_from([2.0**-14, 1.0, 60000.0]))
    elements = st.floats(-largest, largest, width=np.dtype(dtype).itemsize * 8)
    rows = data.draw(arrays(dtype, shape, elements=elements))
    for low, high in [(-7, 7), (-127, 127)]:
        plain, found = symmetric_parameters(rows, low, high, 0), search_symmetric(rows, low, high, 0)
        before = squared_error(rows, plain, quantize_rows(rows, plain, low, high))
        after = squared_error(rows, found, quantize_rows_nearest(rows, found, low, high))
        assert (after <= before * (1 + 1e-6)).all()
    for low, high in [(0, 15), (-128, 127)]:
        plain, found = asymmetric_parameters(rows, low, high), search_asymmetric(rows, low, high)
        before = squared_error(rows, plain, quantize_rows(rows, plain, low, high))
        after = squared_error(rows, found, quantize_rows_nearest(rows, found, low, high))
        assert (after <= before * (1 + 1e-6)).all()


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize("size", [5, 32, 700])
def test_every_variant_finds_scales_as_good(size: int, dtype: Any) -> None:
    rows = (np.random.default_rng(size).standard_t(3, (50, size)) * 0.05).astype(dtype)
    plain = symmetric_parameters(rows, -7, 7, 0)
    expected = reference.symmetric(rows, plain.scale.copy(), np.zeros(50, np.int32), -7, 7)
    found = search_symmetric(rows, -7, 7, 0)
    assert np.isclose(found.scale, expected, rtol=1e-4).mean() > 0.9
    errors = [
        squared_error(rows, p, quantize_rows_nearest(rows, p, -7, 7)).sum()
        for p in (found, AffineParameters(expected, None))
    ]
    assert errors[0] == pytest.approx(errors[1], rel=2e-3)


def test_outliers_far_away_are_given_up() -> None:
    rows = normal_rows(np.float16, size=20_000)
    rows[:, 17] = 1
    plain, found = symmetric_parameters(rows, -7, 7, 0), search_symmetric(rows, -7, 7, 0)
    assert (found.scale < plain.scale / 5).all()


def test_rows_of_zeros_keep_their_scale() -> None:
    rows = np.zeros((2, 8), np.float16)
    assert search_symmetric(rows, -7, 7, 0).scale.tolist() == [0, 0]
    assert search_asymmetric(rows, 0, 15).scale.tolist() == [0, 0]


def test_non_finite_rows_are_refused() -> None:
    rows = np.array([[1, np.nan, 2]], np.float16)
    with pytest.raises(NonFiniteWeightError, match="1 of 3 values"):
        search_symmetric(rows, -7, 7, 0)
    with pytest.raises(NonFiniteWeightError, match="1 of 3 values"):
        search_asymmetric(rows, -8, 7)
