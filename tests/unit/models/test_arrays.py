"""What may be handed in where a model takes numbers."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mlpress import bits
from mlpress.errors import MlpressError
from mlpress.models.prediction.arrays import to_array

INTEGERS = [bits.INT8, bits.INT32, bits.INT64]


@pytest.mark.parametrize("dtype", [bits.FLOAT16, bits.FLOAT32, bits.FLOAT64, *INTEGERS])
@pytest.mark.parametrize(
    "value",
    [
        [[1, 2], [3, 4]],
        ((1.0, 2.0), (3.0, 4.0)),
        np.array([[1, 2], [3, 4]], np.uint8),
        np.array([[1, 2], [3, 4]], ">i8"),
        np.array([[1, 3], [2, 4]], np.float64).T,
        np.array([[1, 2], [3, 4]], ml_dtypes.bfloat16),
    ],
    ids=["lists", "tuples", "uint8", "big-endian", "transposed", "bfloat16"],
)
def test_whole_numbers_of_any_kind_become_arrays_of_the_models_type(value: Any, dtype: bits.DType) -> None:
    array = to_array("input 'x'", value, dtype)
    assert array.dtype == dtype.storage
    assert array.flags.c_contiguous
    assert array.tolist() == [[1, 2], [3, 4]]


def test_an_array_of_the_right_type_is_not_copied() -> None:
    array = np.ones((2, 3), np.float32)
    assert to_array("input 'x'", array, bits.FLOAT32) is array


def test_numbers_and_booleans_are_arrays_without_axes() -> None:
    assert to_array("input 'x'", 2.5, bits.FLOAT16) == np.float16(2.5)
    assert to_array("input 'x'", True, bits.INT32).shape == ()


def test_floats_are_rounded_and_what_is_too_large_becomes_infinite() -> None:
    array = to_array("input 'x'", np.array([1 + 2**-12, -1e9, np.nan]), bits.FLOAT16)
    assert array[0] == 1
    assert array[1] == -np.inf
    assert np.isnan(array[2])


@given(
    hnp.arrays(
        st.sampled_from([np.float16, np.float32, np.float64, np.int64, np.uint64, np.uint8]),
        st.integers(0, 6),
    ),
    st.sampled_from(INTEGERS),
)
def test_integers_keep_their_value_or_are_refused(values: np.ndarray, dtype: bits.DType) -> None:
    exact = [v == v and abs(v) != np.inf and v == int(v) for v in values.tolist()]
    fits = all(
        whole and dtype.low <= int(value) <= dtype.high
        for whole, value in zip(exact, values.tolist(), strict=True)
    )
    if fits:
        assert to_array("input 'x'", values, dtype).tolist() == [int(v) for v in values.tolist()]
    else:
        with pytest.raises(MlpressError, match=f"the model takes {dtype}, integers from {dtype.low} to"):
            to_array("input 'x'", values, dtype)


def test_the_first_value_that_does_not_fit_is_named() -> None:
    with pytest.raises(MlpressError, match=r"input 'x' holds 0\.5; the model takes int32, integers from"):
        to_array("input 'x'", np.array([1, 0.5, np.nan]), bits.INT32)


@pytest.mark.parametrize(
    "value, problem",
    [
        ("3", "input 'x' .str of <U1. holds no real numbers; the model takes float32"),
        (None, "input 'x' .NoneType of object. holds no"),
        (np.array([1j]), "input 'x' .ndarray of complex128. holds no"),
        ([[1], [1, 2]], "input 'x' .list. makes no array"),
    ],
)
def test_what_holds_no_numbers_is_refused(value: Any, problem: str) -> None:
    with pytest.raises(MlpressError, match=problem):
        to_array("input 'x'", value, bits.FLOAT32)
