"""The compiled quantization kernels, at every instruction set of this machine, against their NumPy twins."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mlpress.errors import NonFiniteWeightError
from mlpress.fit.affine import (
    asymmetric_parameters,
    quantize_rows,
    quantize_rows_nearest,
    symmetric_parameters,
)
from mlpress.kernels import affine
from mlpress.kernels.reference import affine as reference
from tests.affine_rows import decoded

pytestmark = pytest.mark.usefixtures("variant")
per_variant = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=100
)

RANGES = [(-127, 127), (-128, 127), (0, 254), (0, 255), (-7, 7), (-8, 7), (0, 14), (0, 15), (-1, 1)]


@st.composite
def row_blocks(draw: st.DrawFn) -> Any:
    """Rows of any finite values, subnormals and extremes included."""
    dtype = draw(st.sampled_from([np.float16, np.float32]))
    shape = (draw(st.integers(0, 5)), draw(st.integers(0, 40)))
    width = 16 if dtype == np.float16 else 32
    largest = draw(st.sampled_from([0.125, 100.0, float(np.finfo(dtype).max)]))
    elements = st.floats(-largest, largest, width=width)
    return draw(arrays(dtype, shape, elements=elements))


@per_variant
@given(rows=row_blocks(), codes=st.sampled_from(RANGES))
def test_parameters_equal_the_reference(rows: Any, codes: tuple[int, int]) -> None:
    low, high = codes
    span = high - low
    assert np.array_equal(affine.symmetric_scales(rows, span), reference.symmetric_scales(rows, span))
    scale, zero_point = affine.asymmetric_parameters(rows, low, high)
    expected_scale, expected_zero = reference.asymmetric_parameters(rows, low, high)
    assert np.array_equal(scale, expected_scale)
    assert np.array_equal(zero_point, expected_zero)


@per_variant
@given(
    rows=row_blocks(), codes=st.sampled_from(RANGES), shrink=st.sampled_from([1.0, 0.3, 0.0]), data=st.data()
)
def test_codes_and_values_equal_the_reference(
    rows: Any, codes: tuple[int, int], shrink: float, data: st.DataObject
) -> None:
    low, high = codes
    scale = (affine.symmetric_scales(rows, high - low) * rows.dtype.type(shrink)).astype(rows.dtype)
    zero_point = data.draw(arrays(np.int32, len(rows), elements=st.integers(low, high)))
    for name in ("quantize", "quantize_nearest"):
        got = getattr(affine, name)(rows, scale, zero_point, low, high)
        assert np.array_equal(got, getattr(reference, name)(rows, scale, zero_point, low, high))
        values = affine.dequantize(got, scale, zero_point)
        assert values.tobytes() == reference.dequantize(got, scale, zero_point).tobytes()


@pytest.mark.parametrize("bad", [np.nan, -np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_non_finite_values_are_counted(dtype: type, bad: float) -> None:
    rows = np.ones((4, 33), dtype)
    rows[2, 32] = rows[1, 7] = bad
    with pytest.raises(NonFiniteWeightError, match="2 of 132 values are NaN or infinite"):
        symmetric_parameters(rows, -127, 127, 0)
    with pytest.raises(NonFiniteWeightError, match="2 of 132 values are NaN or infinite"):
        asymmetric_parameters(rows, 0, 255)


def test_a_symmetric_int8_row() -> None:
    rows = np.array([[-1.27, 0.01, 0.5]], np.float32)
    parameters = symmetric_parameters(rows, -127, 127, 0)
    assert parameters.zero_point is None
    assert parameters.scale == pytest.approx([0.01])
    assert quantize_rows(rows, parameters, -127, 127).tolist() == [[-127, 1, 50]]


def test_an_asymmetric_uint4_row_spends_its_codes_on_the_range_in_use() -> None:
    rows = np.array([[-0.5, 0.0, 1.0]], np.float32)
    parameters = asymmetric_parameters(rows, 0, 15)
    assert parameters.zero_point is not None and parameters.zero_point.tolist() == [5]
    codes = quantize_rows(rows, parameters, 0, 15)
    assert codes.tolist() == [[0, 5, 15]]
    assert decoded(codes, parameters) == pytest.approx(rows)


def test_a_float16_row_too_small_for_its_scale_keeps_its_values() -> None:
    rows = (np.array([[3, -1, 0]]) * 2.0**-24).astype(np.float16)
    parameters = symmetric_parameters(rows, -127, 127, 0)
    assert np.array_equal(decoded(quantize_rows(rows, parameters, -127, 127), parameters), rows)


def test_the_nearest_code_is_not_hidden_by_the_rounding_of_a_float16_quotient() -> None:
    rows = np.random.default_rng(0).uniform(-1, 1, (4, 5000)).astype(np.float16)
    parameters = symmetric_parameters(rows, -127, 127, 0)

    def error(codes: Any) -> float:
        return float(np.square(decoded(codes, parameters).astype(float) - rows).sum())

    assert error(quantize_rows_nearest(rows, parameters, -127, 127)) < error(
        quantize_rows(rows, parameters, -127, 127)
    )


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (np.zeros((2, 3)), "float64"),
        (np.zeros(3, np.float16), r"\(3,\)"),
        (np.zeros((3, 2), np.float16).T, "C-contig"),
    ],
)
def test_wrong_rows_are_refused(rows: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        affine.symmetric_scales(rows, 254)


def test_codes_outside_a_byte_are_refused() -> None:
    with pytest.raises(ValueError, match=r"codes 0\.\.256"):
        affine.asymmetric_parameters(np.zeros((1, 4), np.float16), 0, 256)
