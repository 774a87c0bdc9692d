"""Packing, masks and look-ups, against definitions written out with Python integers or one line of NumPy."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlpress import kernels

per_variant = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60
)
sizes = st.one_of(st.integers(0, 40), st.integers(60, 300), st.just(70_001))
widths = st.sampled_from([np.uint8, np.int8, np.float16, np.int32, np.float32])
seeds = st.integers(0, 2**32 - 1)

pytestmark = pytest.mark.usefixtures("variant")


def bit_stream(values: np.ndarray, nbits: int) -> np.ndarray:
    """The stream as one long Python integer, element i shifted by i * nbits."""
    total = 0
    for value in reversed(values.tolist()):
        total = (total << nbits) | (value & ((1 << nbits) - 1))
    size = (values.size * nbits + 7) // 8
    return np.frombuffer(total.to_bytes(size, "little"), np.uint8)


def test_four_bits_put_the_first_element_in_the_low_half() -> None:
    assert kernels.pack(np.array([1, 2, 3], np.uint8), 4).tolist() == [0x21, 0x03]


def test_three_bits_cross_bytes() -> None:
    assert kernels.pack(np.array([5, 7, 6, 1], np.uint8), 3).tolist() == [0b10111101, 0b00000011]


@pytest.mark.parametrize("nbits", range(1, 9))
@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 31, 64, 127, 128, 129, 500])
def test_pack_writes_the_stream(nbits: int, size: int) -> None:
    values = np.random.default_rng(size).integers(0, 1 << nbits, size).astype(np.uint8)
    assert np.array_equal(kernels.pack(values, nbits), bit_stream(values, nbits))


@pytest.mark.parametrize("nbits", range(1, 9))
def test_pack_keeps_the_low_bits_of_any_byte(nbits: int) -> None:
    values = np.arange(256, dtype=np.uint8).repeat(3)
    assert np.array_equal(kernels.pack(values, nbits), bit_stream(values, nbits))


@per_variant
@given(nbits=st.integers(1, 8), size=sizes, seed=seeds)
def test_unpack_undoes_pack(nbits: int, size: int, seed: int) -> None:
    values = np.random.default_rng(seed).integers(0, 1 << nbits, size).astype(np.uint8)
    assert np.array_equal(kernels.unpack(kernels.pack(values, nbits), nbits, size), values)


@per_variant
@given(nbits=st.integers(1, 8), size=sizes, seed=seeds)
def test_signed_values_survive(nbits: int, size: int, seed: int) -> None:
    half = 1 << (nbits - 1)
    values = np.random.default_rng(seed).integers(-half, half, size).astype(np.int8)
    unpacked = kernels.unpack(kernels.pack(values, nbits), nbits, size, signed=True)
    assert unpacked.dtype == np.int8
    assert np.array_equal(unpacked, values)


def test_unpack_refuses_a_short_stream() -> None:
    with pytest.raises(ValueError, match="2 bytes; 6 elements of 3 bits need 3"):
        kernels.unpack(np.zeros(2, np.uint8), 3, 6)


def test_unpack_reads_only_what_it_needs() -> None:
    assert kernels.unpack(np.array([0x21, 0xFF], np.uint8), 4, 1).tolist() == [1]


@pytest.mark.parametrize("nbits", [0, 9, -1])
def test_widths_other_than_1_to_8_are_refused(nbits: int) -> None:
    with pytest.raises(ValueError, match="allowed are 1 to 8"):
        kernels.pack(np.zeros(1, np.uint8), nbits)
    with pytest.raises(ValueError, match="allowed are 1 to 8"):
        kernels.unpack(np.zeros(9, np.uint8), nbits, 1)


def test_other_dtypes_and_ranks_are_refused() -> None:
    with pytest.raises(ValueError, match="int32; allowed are uint8, int8"):
        kernels.pack(np.zeros(3, np.int32), 4)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="2 dimensions"):
        kernels.pack(np.zeros((2, 2), np.uint8), 4)


def test_a_strided_view_is_packed_by_its_elements() -> None:
    values = np.arange(16, dtype=np.uint8)
    assert np.array_equal(kernels.pack(values[::2], 4), kernels.pack(values[::2].copy(), 4))


@per_variant
@given(size=sizes, seed=seeds)
def test_popcount_counts_ones(size: int, seed: int) -> None:
    packed = np.random.default_rng(seed).integers(0, 256, size).astype(np.uint8)
    assert kernels.popcount(packed) == int(np.unpackbits(packed).sum())


@per_variant
@given(size=sizes, density=st.floats(0, 1), dtype=widths, seed=seeds)
def test_gather_and_scatter_are_boolean_indexing(size: int, density: float, dtype: type, seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = rng.integers(1, 100, size).astype(dtype)
    keep = rng.random(size) < density
    mask = np.packbits(keep, bitorder="little")

    kept = kernels.gather_mask(values, mask)
    assert kept.dtype == values.dtype
    assert np.array_equal(kept, values[keep])
    assert np.array_equal(kernels.scatter_mask(kept, mask, size), np.where(keep, values, 0))


def test_ones_in_the_padding_of_a_mask_are_ignored() -> None:
    mask = np.array([0b11111101], np.uint8)
    assert kernels.gather_mask(np.array([5, 6, 7], np.uint8), mask).tolist() == [5, 7]
    assert kernels.scatter_mask(np.array([5, 7], np.uint8), mask, 3).tolist() == [5, 0, 7]


def test_scatter_refuses_a_mask_with_another_number_of_ones() -> None:
    with pytest.raises(ValueError, match="2 ones among 8 bits, but there are 3 values"):
        kernels.scatter_mask(np.ones(3, np.float16), np.array([0b11], np.uint8), 8)


def test_a_short_mask_is_refused() -> None:
    with pytest.raises(ValueError, match="1 bytes; 9 elements need 2"):
        kernels.gather_mask(np.ones(9, np.uint8), np.ones(1, np.uint8))


@per_variant
@given(size=sizes, entries=st.integers(1, 256), dtype=widths, seed=seeds)
def test_lookup_is_indexing(size: int, entries: int, dtype: type, seed: int) -> None:
    rng = np.random.default_rng(seed)
    table = rng.integers(0, 120, entries).astype(dtype)
    indices = rng.integers(0, entries, size).astype(np.uint8)
    assert np.array_equal(kernels.lookup(indices, table), table[indices])


def test_lookup_refuses_an_index_outside_the_table() -> None:
    with pytest.raises(ValueError, match="index is 4, but the table has 4 entries"):
        kernels.lookup(np.array([0, 4], np.uint8), np.zeros(4, np.float16))


@per_variant
@given(size=sizes, dtype=st.sampled_from([np.float16, np.float32]), seed=seeds)
def test_squared_error_is_summed_in_double_precision(size: int, dtype: type, seed: int) -> None:
    rng = np.random.default_rng(seed)
    a = rng.normal(0, 100, size).astype(dtype)
    b = (a + rng.normal(0, 1, size)).astype(dtype)
    wide = a.astype(np.float64)
    error, signal = kernels.sum_squared_error(a, b)
    assert error == pytest.approx(float(((wide - b) ** 2).sum()), rel=1e-12)
    assert signal == pytest.approx(float((wide**2).sum()), rel=1e-12)


def test_squared_error_wants_arrays_that_are_alike() -> None:
    with pytest.raises(ValueError, match=r"float16\[2\] and b is float32\[2\]"):
        kernels.sum_squared_error(np.zeros(2, np.float16), np.zeros(2, np.float32))


@pytest.mark.parametrize("setting", ["reference", "fast"])
def test_the_environment_chooses_the_kernels(setting: str) -> None:
    command = [sys.executable, "-c", "import mlpress.kernels; print(mlpress.kernels.backend)"]
    env = {**os.environ, "MLPRESS_KERNELS": setting}
    result = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if setting == "reference":
        assert result.stdout.strip() == "reference"
    else:
        assert "'fast'; allowed values are native, reference" in result.stderr
