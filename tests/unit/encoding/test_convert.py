"""Floats of encodings change their type; integers inside stay as they are."""

import numpy as np

from mlpress.bits import FLOAT16, FLOAT32, UINT4, Tensor
from mlpress.encoding import Affine, Dense, decode, in_dtype


def test_scales_change_their_type_and_integers_stay():
    codes = Dense(Tensor.from_numpy(np.array([[1, 15]], np.uint8), UINT4))
    scale = Dense(Tensor.from_numpy(np.array([[0.1]], np.float32)))
    half = in_dtype(Affine(codes, scale), FLOAT16)
    assert half.dtype == FLOAT16
    assert half.data.values is codes.values
    assert decode(half).dtype == np.float16


def test_values_beyond_the_range_become_infinite():
    wide = Dense(Tensor.from_numpy(np.array([1e6, 0.5], np.float32)))
    np.testing.assert_array_equal(in_dtype(wide, FLOAT16).values.numpy(), [np.inf, 0.5])
    assert in_dtype(wide, FLOAT32).values is wide.values
