"""Sums of 8-bit codes against the same arithmetic in NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlpress.kernels import codes
from mlpress.kernels.codes import Codes, Target

pytestmark = pytest.mark.usefixtures("variant")

scales = st.floats(2**-10, 2**-2, width=32)
zeros = st.integers(0, 255)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
@given(
    size=st.sampled_from([0, 1, 15, 16, 17, 100]),
    inputs=st.tuples(scales, zeros, scales, zeros),
    scale=scales,
    grid=st.sampled_from([(0, 0, 127), (0, 0, 255), (128, 0, 255), (128, 128, 255), (7, 3, 200)]),
    seed=st.integers(0, 2**32 - 1),
)
def test_sums_are_rounded_once(size, inputs, scale, grid, seed):
    random = np.random.default_rng(seed)
    x, y = (random.integers(0, 256, size, dtype=np.uint8) for _ in range(2))
    x_scale, x_zero, y_scale, y_zero = inputs
    zero, low, high = grid
    out = np.empty(size, np.uint8)
    codes.add(Codes(x, x_scale, x_zero), Codes(y, y_scale, y_zero), Target(scale, zero, low, high), out)

    # In steps of the result; a product and a sum are rounded once.
    x_step, y_step = np.float32(x_scale / scale), np.float32(y_scale / scale)
    second = (y * np.float64(y_step) - np.float32(y_zero * y_step)).astype(np.float32)
    total = ((x.astype(np.float64) - x_zero) * x_step + second).astype(np.float32)
    expected = np.clip(np.rint(total) + zero, low, high)
    np.testing.assert_array_equal(out, expected.astype(np.uint8))


def test_what_does_not_fit_is_refused():
    x = Codes(np.zeros(4, np.uint8), 1.0, 0)
    with pytest.raises(ValueError, match=r"uint8 \(4,\); allowed: C-contiguous uint8 \(5,\)"):
        codes.add(x, x, Target(1.0, 0, 0, 255), np.zeros(5, np.uint8))
