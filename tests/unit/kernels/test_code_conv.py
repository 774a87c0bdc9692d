"""Convolutions of codes against sums of whole numbers over windows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view

from mlpress.kernels import code_conv
from mlpress.kernels.code_conv import Residual, Window

pytestmark = pytest.mark.usefixtures("variant")

CASES = st.fixed_dictionaries(
    {
        # Images of lines longer than what is worked on at a time, and of lines that are worked on together.
        "image": st.sampled_from([(1, 1, 1), (2, 7, 7), (1, 3, 130), (2, 14, 23), (3, 9, 5)]),
        "into": st.sampled_from([1, 3, 4, 17, 64]),  # not all fill steps of four bytes
        "out": st.sampled_from([1, 16, 20, 32, 70]),  # nor panels and vectors
        "size": st.sampled_from([(1, 1), (3, 3), (1, 5), (4, 2)]),
        "strides": st.sampled_from([(1, 1), (2, 2), (1, 3)]),
        "edge": st.sampled_from([(0, 0, 0, 0), (1, 1, 1, 1), (0, 2, 3, 0)]),  # above, below, left, right
        "zero": st.sampled_from([0, 128, 255]),
        "seed": st.integers(0, 2**32 - 1),
    }
)


class Case:
    """A drawn convolution: its arguments, and its exact sums."""

    def __init__(self, image, into, out, size, strides, edge, zero, seed):
        random = np.random.default_rng(seed)
        height, width = (max(n, reach) for n, reach in zip(image[1:], size, strict=True))
        self.x = random.integers(0, 256, (image[0], height, width, into), dtype=np.uint8)
        weight = random.integers(-128, 128, (out, into, *size), dtype=np.int8)
        self.kernel, self.zero = code_conv.pack(weight), zero
        self.window = Window(strides, (edge[0], edge[2]))
        around = np.pad(self.x, ((0, 0), edge[:2], edge[2:], (0, 0)), constant_values=zero).astype(np.int64)
        windows = sliding_window_view(around - zero, size, (1, 2))[:, :: strides[0], :: strides[1]]
        self.sums = np.einsum("nhwcij,kcij->nhwk", windows, weight.astype(np.int64), optimize=True)
        self.scale = random.uniform(0.5, 1.5, out) * 300 / max(1, abs(self.sums).max())
        self.bias = random.normal(0, 20, out)
        self.random = random

    def numbers(self):
        """The numbers that sums stand for, as float32 arithmetic makes them."""
        scaled = self.sums.astype(np.float32).astype(np.float64) * self.scale.astype(np.float32)
        return (scaled + self.bias.astype(np.float32)).astype(np.float32)

    def run(self, dtype, limits, code_zero=0, residual=None):
        """The result of the kernel, made by two that share the lines."""
        finish = code_conv.finish(self.kernel, self.zero, self.scale, self.bias, limits, code_zero)
        out = np.zeros(self.sums.shape, dtype)
        lines = out.shape[0] * out.shape[1]
        for share in ((0, lines // 3), (lines // 3, lines)):
            code_conv.convolve(self.x, self.zero, self.kernel, self.window, finish, residual, share, out)
        return out


drawn = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)


@drawn
@given(CASES)
def test_sums_become_numbers(parameters):
    case = Case(**parameters)
    np.testing.assert_array_equal(case.run(np.float32, (-50.0, np.inf)), case.numbers().clip(-50, None))


@drawn
@given(CASES, st.sampled_from([(0, 0, 127), (0, 0, 255), (128, 0, 255), (3, 3, 200)]))
def test_sums_become_codes(parameters, grid):
    case, (zero, low, high) = Case(**parameters), grid
    found = case.run(np.uint8, (low - zero, high - zero), zero)
    np.testing.assert_array_equal(found, np.rint(case.numbers()).clip(low - zero, high - zero) + zero)


@drawn
@given(CASES)
def test_another_number_is_added_to_what_was_rounded(parameters):
    case = Case(**parameters)
    other = case.random.integers(0, 256, case.sums.shape, dtype=np.uint8)
    scale, shift, own = np.float32(0.3), np.float32(-38.4), np.float32(0.7)
    residual = Residual(other, float(scale), float(shift), float(own), (-100, 155))
    found = case.run(np.uint8, (-128, 127), 100, residual)

    rounded = np.rint(case.numbers()).clip(-128, 127)
    numbers = (other * np.float64(scale) + shift).astype(np.float32)
    total = (rounded * np.float64(own) + numbers).astype(np.float32)
    np.testing.assert_array_equal(found, np.rint(total.clip(-100, 155)) + 100)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"out": (2, 5, 5, 16)}, "different numbers of images"),
        ({"lines": (0, 6)}, "lines are out of range"),
        ({"window": Window((0, 1), (0, 0))}, "window is not possible"),
        ({"x": (1, 5, 5, 9)}, "weight has the wrong size"),
        ({"residual": (1, 5, 5, 15)}, "residual has another shape"),
        ({"columns": 32}, "starts, scales or biases"),
    ],
)
def test_what_does_not_fit_is_refused(change, message):
    shapes = {"x": (1, 5, 5, 4), "out": (1, 5, 5, 16)} | change
    kernel = code_conv.pack(np.zeros((16, 4, 1, 1), np.int8))
    wide = code_conv.pack(np.zeros((change.get("columns", 16), 4, 1, 1), np.int8))
    ones = np.ones(len(wide.totals), np.float32)
    finish = code_conv.finish(wide, 0, ones, ones, (0, 255))
    codes = np.zeros(shapes["residual"], np.uint8) if "residual" in shapes else None
    with pytest.raises(ValueError, match=message):
        code_conv.convolve(
            np.zeros(shapes["x"], np.uint8),
            0,
            kernel,
            shapes.get("window", Window((1, 1), (0, 0))),
            finish,
            None if codes is None else Residual(codes, 1, 0, 1, (0, 255)),
            shapes.get("lines", (0, 5)),
            np.zeros(shapes["out"], np.uint8),
        )
