"""An encoding decodes to what the operators of Core ML define."""

import numpy as np
import pytest
from hypothesis import given, settings

from mlpress.bits import FLOAT16, INT8, UINT1, UINT2, UINT4, Tensor
from mlpress.encoding import Affine, Dense, Lut, Scatter, Sparse, decode, decode_masked
from mlpress.errors import EncodingError
from tests.trees import encodings, slow_decode


def stored(values, dtype):
    return Tensor.from_numpy(np.array(values, dtype.storage), dtype)


@given(encodings())
@settings(max_examples=300, deadline=None)
def test_decode_follows_the_definition_element_by_element(encoding):
    decoded = decode(encoding)
    assert decoded.dtype == encoding.dtype.storage
    np.testing.assert_array_equal(decoded, slow_decode(encoding))


def test_a_scale_covers_its_block():
    data = Dense(stored([[1, 2, 3, 4], [5, 6, 7, 8]], INT8))
    scale = Dense(stored([[1.0, 10.0], [0.5, 2.0]], FLOAT16))
    offset = Dense(stored([[1, 0], [0, 8]], INT8))
    np.testing.assert_array_equal(decode(Affine(data, scale, offset)), [[0, 1, 30, 40], [2.5, 3, -2, 0]])


def test_groups_of_channels_have_tables_of_their_own():
    indices = Dense(stored([[0, 1], [1, 0]], UINT1))
    table = Dense(stored([[[[1.0], [2.0]]], [[[3.0], [4.0]]]], FLOAT16))
    np.testing.assert_array_equal(decode(Lut(indices, table)), [[1, 2], [4, 3]])


@pytest.mark.parametrize(
    ("axis", "expected"),
    [
        (0, [[1, 4], [2, 5], [3, 6], [4, 1], [5, 2], [6, 3]]),
        (1, [[1, 2, 3, 4, 5, 6], [4, 5, 6, 1, 2, 3]]),
    ],
)
def test_vectors_lie_along_their_axis(axis, expected):
    indices = Dense(stored([[0, 1], [1, 0]], UINT1))
    table = Dense(stored([[[[1, 2, 3], [4, 5, 6]]]], INT8))
    np.testing.assert_array_equal(decode(Lut(indices, table, axis)), expected)


def test_a_sparse_look_up_of_vectors_repeats_its_mask():
    indices = Sparse(stored([[1, 1, 0], [0, 1, 1]], UINT1), stored([0, 1, 1, 0], UINT1))
    table = Dense(stored([[[[1, 2], [3, 4]]]], INT8))
    mask, values = decode_masked(Lut(indices, table, 0))
    np.testing.assert_array_equal(mask, [[1, 1, 0], [1, 1, 0], [0, 1, 1], [0, 1, 1]])
    np.testing.assert_array_equal(values, [1, 3, 2, 4, 3, 1, 4, 2])


def test_pruned_palettized_and_quantized_at_once():
    indices = Sparse(stored([[1, 0], [0, 1]], UINT1), stored([2, 3], UINT2))
    table = Affine(Dense(stored([[[[0], [0], [-4], [100]]]], INT8)), Dense(stored([[[[0.5]]]], FLOAT16)))
    np.testing.assert_array_equal(decode(Scatter(Lut(indices, table))), [[-2, 0], [0, 50]])


def test_zero_size_weights_decode():
    empty = Dense(stored(np.zeros((0, 4)), UINT4))
    scale = Dense(stored([[1.0]], FLOAT16))
    assert decode(Affine(empty, scale)).shape == (0, 4)
    assert decode(Lut(empty, Dense(stored(np.zeros((1, 1, 16, 2)), FLOAT16)), 1)).shape == (0, 8)


def test_a_mask_that_disagrees_with_its_values_is_an_error():
    sparse = Scatter(Sparse(stored([1, 1, 0, 0], UINT1), stored([1.0], FLOAT16)))
    with pytest.raises(EncodingError, match="2 ones for 1 values"):
        decode(sparse)


def test_a_masked_encoding_has_no_dense_values():
    with pytest.raises(EncodingError, match="masked"):
        decode(Sparse(stored([1], UINT1), stored([1.0], FLOAT16)))
