"""A weight decodes range by range to what it decodes to at once."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mlpress.bits import FLOAT16, INT8, UINT1, UINT4, Tensor
from mlpress.encoding import Affine, Dense, Lut, Scatter, Sparse, decode, decode_rows, row_ranges
from tests.trees import encodings


def stored(values, dtype):
    return Tensor.from_numpy(np.array(values, dtype.storage), dtype)


@given(encodings(), st.integers(1, 40))
@settings(max_examples=300, deadline=None)
def test_ranges_of_any_encoding_put_together_are_the_whole(encoding, least):
    whole = decode(encoding)
    ranges = row_ranges(encoding, least=least)
    assert [start for start, _ in ranges] == [0, *(stop for _, stop in ranges[:-1])]
    if whole.ndim:
        parts = [decode_rows(encoding, start, stop) for start, stop in ranges]
        np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_a_range_cuts_no_block_table_or_vector():
    data = Dense(stored(np.zeros((12, 2)), INT8))
    in_blocks = Affine(data, Dense(stored(np.ones((4, 1)), FLOAT16)))
    vectors = Lut(Dense(stored(np.zeros((6, 2)), UINT1)), Dense(stored(np.ones((2, 1, 2, 4)), FLOAT16)), 0)
    assert row_ranges(in_blocks, least=8) == [(0, 3), (3, 6), (6, 9), (9, 12)]
    assert row_ranges(vectors, least=8) == [(0, 12), (12, 24)]


def test_a_large_sparse_palette_decodes_in_parts():
    random = np.random.default_rng(0)
    kept = random.random((1001, 701)) < 0.2
    indices = random.integers(0, 16, int(kept.sum()))
    table = random.standard_normal(16).astype(np.float16)
    entries = Dense(stored(table[None, None, :, None], FLOAT16))
    palette = Lut(Sparse(stored(kept, UINT1), stored(indices, UINT4)), entries)
    expected = np.zeros(kept.shape, np.float16)
    expected[kept] = table[indices]
    assert len(row_ranges(palette)) > 1
    np.testing.assert_array_equal(decode(Scatter(palette)), expected)
