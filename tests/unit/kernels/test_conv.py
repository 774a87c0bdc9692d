"""Convolutions against sums over windows, in double precision."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view

from mlpress.kernels import conv

per_variant = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=25
)
seeds = st.integers(0, 2**32 - 1)
# Panels of 32 columns, a last one of 16, and more rows than are worked on at a time.
images = st.sampled_from([(1, 1, 1), (1, 7, 7), (2, 4, 8), (3, 5, 13), (1, 14, 23), (1, 6, 81)])
channels_out = st.sampled_from([16, 32, 48, 80])

pytestmark = pytest.mark.usefixtures("variant")


def expected(
    x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, residual: np.ndarray | None, relu: bool
) -> np.ndarray:
    """The convolution with weight [out, in, size, size] and zeros around the image, in float64."""
    size = weight.shape[-1]
    edge = size // 2
    wide = np.pad(x.astype(np.float64), ((0, 0), (edge, edge), (edge, edge), (0, 0)))
    windows = sliding_window_view(wide, (size, size), (1, 2))
    sums = np.einsum("nhwcij,kcij->nhwk", windows, weight, optimize=True)
    for addend in (bias, residual):
        sums = sums if addend is None else sums + addend
    return np.maximum(sums, 0) if relu else sums


def arguments(
    shape: tuple[int, int, int],
    into: int,
    out: int,
    size: int,
    with_bias: bool,
    with_residual: bool,
    seed: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None, np.ndarray | None]:
    random = np.random.default_rng(seed)
    weight = random.normal(0, (into * size**2) ** -0.5, (out, into, size, size)).astype(np.float32)
    x = random.normal(size=(*shape, into)).astype(np.float32)
    residual = random.normal(size=(*shape, out)).astype(np.float32) if with_residual else None
    bias = random.normal(size=out).astype(np.float32) if with_bias else None
    return x, weight, bias, residual


@per_variant
@given(
    shape=images,
    into=st.sampled_from([1, 3, 16, 70, 1024]),  # rows of 1024 are copied
    out=channels_out,
    relu=st.booleans(),
    with_bias=st.booleans(),
    with_residual=st.booleans(),
    seed=seeds,
)
def test_windows_of_one_element(
    shape: tuple[int, int, int],
    into: int,
    out: int,
    relu: bool,
    with_bias: bool,
    with_residual: bool,
    seed: int,
) -> None:
    x, weight, bias, residual = arguments(shape, into, out, 1, with_bias, with_residual, seed)
    found = np.full((*shape, out), np.nan, np.float32)
    conv.pointwise(x, conv.pack_pointwise(weight), bias, residual, found, relu=relu)
    np.testing.assert_allclose(found, expected(x, weight, bias, residual, relu), rtol=1e-5, atol=1e-5)


@per_variant
@given(
    shape=images,
    into=st.sampled_from([16, 48]),
    out=channels_out,
    relu=st.booleans(),
    with_bias=st.booleans(),
    with_residual=st.booleans(),
    seed=seeds,
)
def test_windows_of_three_by_three(
    shape: tuple[int, int, int],
    into: int,
    out: int,
    relu: bool,
    with_bias: bool,
    with_residual: bool,
    seed: int,
) -> None:
    x, weight, bias, residual = arguments(shape, into, out, 3, with_bias, with_residual, seed)
    found = np.full((*shape, out), np.nan, np.float32)
    conv.winograd(x, conv.pack_winograd(weight), bias, residual, found, relu=relu)
    np.testing.assert_allclose(found, expected(x, weight, bias, residual, relu), rtol=0, atol=2e-4)


def test_minimal_filtering_of_many_channels_and_tiles_is_as_exact_as_single_precision_allows() -> None:
    x, weight, bias, _ = arguments((1, 28, 40), 192, 192, 3, True, False, seed=0)  # in several parts
    found = np.empty((1, 28, 40, 192), np.float32)
    conv.winograd(x, conv.pack_winograd(weight), bias, None, found, relu=False)
    wanted = expected(x, weight, bias, None, relu=False)
    assert np.linalg.norm(found - wanted) < 1e-5 * np.linalg.norm(wanted)


@pytest.mark.parametrize("relu", [True, False])
def test_nan_stays_nan(relu: bool) -> None:
    found = np.empty((1, 1, 1, 16), np.float32)
    x = np.full((1, 1, 1, 1), np.nan, np.float32)
    weight = conv.pack_pointwise(np.ones((16, 1, 1, 1), np.float32))
    conv.pointwise(x, weight, np.zeros(16, np.float32), None, found, relu=relu)
    assert np.isnan(found).all()


@pytest.mark.parametrize(
    "change, message",
    [
        ({"x": (1, 2, 2, 16)}, "another shape than the image"),
        ({"weight": (9,)}, "wrong size"),
        ({"bias": (15,)}, "one bias"),
        ({"residual": (1, 2, 3, 32)}, "residual has another shape"),
        (
            {"x": (1, 2, 3, 16), "weight": (36 * 16 * 8,), "bias": (8,), "out": (1, 2, 3, 8)},
            "output channels",
        ),
        ({"x": (1, 2, 3, 8), "weight": (36 * 8 * 16,)}, "input channels"),
    ],
)
def test_what_does_not_fit_is_refused(change: dict[str, tuple[int, ...]], message: str) -> None:
    shapes = {"x": (1, 2, 3, 16), "weight": (36 * 16 * 16,), "bias": (16,), "out": (1, 2, 3, 16)} | change
    arrays = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    residual = arrays.pop("residual", None)
    with pytest.raises(ValueError, match=message):
        conv.winograd(**arrays, residual=residual, relu=False)
