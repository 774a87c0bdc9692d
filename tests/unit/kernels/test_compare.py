"""Errors of encoded weights in one pass, against decoding first and comparing then."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlpress import kernels
from mlpress.kernels import affine, compare

per_variant = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40
)
# Pieces of 4096 elements end inside rows, at their ends, and before the first row's end.
shapes = st.sampled_from([(1, 1), (3, 5), (7, 33), (300, 32), (5, 4097), (2, 9000), (1, 12288), (4096, 3)])
seeds = st.integers(0, 2**32 - 1)

pytestmark = pytest.mark.usefixtures("variant")


def near(weight: np.ndarray, decoded: np.ndarray) -> tuple[object, object]:
    wide = weight.astype(np.float64)
    error, signal = ((wide - decoded) ** 2).sum(), (wide**2).sum()
    return pytest.approx(float(error), rel=1e-12), pytest.approx(float(signal), rel=1e-12)


@per_variant
@given(shape=shapes, nbits=st.sampled_from([3, 4, 8]), signed=st.booleans(), seed=seeds)
def test_affine_codes_are_decoded_row_by_row(
    shape: tuple[int, int], nbits: int, signed: bool, seed: int
) -> None:
    random = np.random.default_rng(seed)
    low = -(1 << nbits - 1) if signed else 0
    codes = random.integers(low, low + (1 << nbits), shape).astype(np.int8 if signed else np.uint8)
    scale = random.random(shape[0]).astype(np.float16)
    zero_point = random.integers(low, low + (1 << nbits), shape[0]).astype(np.int32)
    decoded = affine.dequantize(codes, scale, zero_point)
    weight = (decoded + random.normal(size=shape)).astype(np.float16)
    packed = kernels.pack(codes.reshape(-1), nbits)
    found = compare.affine_error(weight, packed, nbits, scale, zero_point, signed=signed)
    assert found == near(weight, decoded)


@per_variant
@given(shape=shapes, nbits=st.sampled_from([1, 2, 3, 4, 6, 8]), seed=seeds)
def test_each_row_has_a_table(shape: tuple[int, int], nbits: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    tables = random.normal(size=(shape[0], 1 << nbits)).astype(np.float16)
    indices = random.integers(0, 1 << nbits, shape).astype(np.uint8)
    decoded = np.take_along_axis(tables, indices.astype(np.intp), axis=1)
    weight = (decoded + random.normal(size=shape)).astype(np.float16)
    found = compare.lut_error(weight, kernels.pack(indices.reshape(-1), nbits), nbits, tables)
    assert found == near(weight, decoded)


@per_variant
@given(size=st.sampled_from([0, 1, 13, 4096, 12_301]), density=st.floats(0, 1), seed=seeds)
def test_what_a_mask_drops_is_zero(size: int, density: float, seed: int) -> None:
    random = np.random.default_rng(seed)
    weight = random.normal(size=size).astype(np.float16)
    mask = random.random(size) < density
    kept = weight[mask] + np.float16(0.5)
    decoded = np.zeros(size, np.float16)
    decoded[mask] = kept
    assert compare.sparse_error(weight, np.packbits(mask, bitorder="little"), kept) == near(weight, decoded)


def test_arguments_that_do_not_fit_are_refused() -> None:
    weight, packed = np.zeros((2, 8), np.float16), np.zeros(8, np.uint8)
    scale, zeros, tables = np.ones(2, np.float16), np.zeros(2, np.int32), np.zeros((2, 16), np.float16)
    mask = np.full(2, 255, np.uint8)
    for refused in (
        lambda: compare.affine_error(weight, packed[1:], 4, scale, zeros, signed=True),
        lambda: compare.affine_error(weight, packed, 4, scale[1:], zeros, signed=True),
        lambda: compare.affine_error(weight.astype(np.float32), packed, 4, scale, zeros, signed=True),
        lambda: compare.lut_error(weight, packed[1:], 4, tables),
        lambda: compare.lut_error(weight, packed, 4, tables[:, 1:].copy()),
        lambda: compare.sparse_error(weight.reshape(-1), mask, np.zeros(15, np.float16)),
        lambda: compare.sparse_error(weight.reshape(-1), mask, np.zeros(17, np.float16)),
        lambda: compare.sparse_error(weight.reshape(-1), mask[1:], np.zeros(8, np.float16)),
    ):
        with pytest.raises(ValueError):
            refused()
