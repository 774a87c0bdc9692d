"""Products with weights that are packed, against the weights written out, in double precision."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from mlpress.kernels import encoded, packing
from mlpress.kernels.encoded import PackedWeight

pytestmark = pytest.mark.usefixtures("variant")

blocks = st.sampled_from([None, 8, 16, 32, 64, 128, 512])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=100)
@given(
    bits=st.sampled_from(encoded.BITS),
    n=st.sampled_from([1, 4, 6, 12, 32, 36, 80]),
    k=st.sampled_from([8, 32, 96, 128, 200, 640, 1024]),
    block=blocks,
    rows=st.sampled_from([0, 1, 2, 6, 7, 15, 150, 300]),  # in one part and in several
    scale_type=st.sampled_from([None, np.float16, np.float32]),
    has_offset=st.booleans(),
    base=st.sampled_from([0, 128]),
    signed=st.booleans(),
    tables=st.sampled_from([1, 2, 4, 36]),
    seed=st.integers(0, 2**32 - 1),
)
def test_products(bits, n, k, block, rows, scale_type, has_offset, base, signed, tables, seed):
    block = block or k
    assume(k % block == 0 and n % tables == 0 and encoded.fits(bits, k, block))
    assume(scale_type is not None or block == k)
    random = np.random.default_rng(seed)
    signed = signed and bits == 8
    elements = random.integers(0, 1 << bits, (n, k)).astype(np.uint8)
    values = elements.view(np.int8).astype(float) if signed else elements.astype(float)
    table = None
    if bits < 8:
        entries = random.normal(size=(tables, 1 << bits)).astype(np.float32)
        values = entries[np.arange(n)[:, None] // (n // tables), elements].astype(float)
        table = np.tile(entries, (1, max(1, 16 >> bits)))
    scale = None if scale_type is None else random.uniform(0.5, 1, (n, k // block)).astype(scale_type)
    offset = random.integers(-8, 8, (n, k // block)).astype(np.int8) if has_offset else None
    if offset is not None:
        values = values - np.repeat(offset + float(base), block, axis=1)
    if scale is not None:
        values = values * np.repeat(scale.astype(float), block, axis=1)
    weight = PackedWeight(
        data=packing.pack(elements.reshape(-1), bits),
        bits=bits,
        signed=signed,
        tables=table,
        scale=None if scale is None else scale.reshape(-1),
        offset=None if offset is None else offset.reshape(-1),
        offset_base=base,
        shape=(n, k),
        block=block,
    )
    x = random.normal(size=(rows, k)).astype(np.float32)
    bias = random.normal(size=n).astype(np.float32)

    def in_two_parts(work):
        work(0, n // 3)
        work(n // 3, n)

    found = np.empty((rows, n), np.float32)
    encoded.linear(x, weight, bias, found, in_two_parts)
    magnitude = np.abs(x.astype(float)) @ (np.abs(values) + base).T + 1
    assert (np.abs(found - (x @ values.T + bias)) <= 1e-5 * magnitude).all()


@pytest.mark.parametrize(
    ("bits", "k", "block", "fits"),
    [
        (3, 96, 96, True),
        (3, 20, 20, False),
        (6, 64, 4, True),
        (5, 64, 64, False),
        (4, 7, 7, False),
        (4, 96, 4, False),
        (4, 96, 8, True),
        (8, 96, 16, False),
    ],
)
def test_what_can_be_multiplied(bits, k, block, fits):
    assert encoded.fits(bits, k, block) is fits


def test_wrong_inputs_are_refused():
    weight = PackedWeight(np.zeros(64, np.uint8), 8, True, None, None, None, 0, (2, 32), 32)
    x, out = np.zeros((1, 32), np.float32), np.zeros((1, 2), np.float32)
    for rows, result, words in (
        (x.astype(float), out, r"x is float64 \(1, 32\); allowed: C-contiguous float32 \[rows, 32\]"),
        (x, out[:, :1], r"out is float32 \(1, 1\); allowed: C-contiguous float32 \[rows, 2\]"),
    ):
        with pytest.raises(ValueError, match=words):
            encoded.linear(rows, weight, None, result, lambda work: work(0, 2))
