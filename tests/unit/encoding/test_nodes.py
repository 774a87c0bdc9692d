"""Nodes refuse parts that do not fit, and say which."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings

from mlpress.bits import FLOAT16, FLOAT32, INT4, INT8, INT32, UINT1, UINT2, UINT4, UINT8, Tensor
from mlpress.encoding import Affine, Dense, Lut, Scatter, Sparse, describe, map_tensors, nbytes, tensors
from mlpress.errors import EncodingError
from tests.trees import encodings


def zeros(dtype, *shape):
    return Tensor.from_numpy(np.zeros(shape, dtype.storage), dtype)


def dense(dtype, *shape):
    return Dense(zeros(dtype, *shape))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Affine(dense(INT32, 4), dense(FLOAT16, 1)), "affine data cannot be int32"),
        (lambda: Affine(dense(INT8, 4), dense(INT8, 1)), "affine scale cannot be int8"),
        (lambda: Affine(dense(INT8, 4), dense(FLOAT16, 3)), r"\(3,\) blocks do not divide shape \(4,\)"),
        (lambda: Affine(dense(INT8, 4, 4), dense(FLOAT16, 4)), "do not divide"),
        (
            lambda: Affine(dense(INT8, 4), dense(FLOAT16, 4), dense(INT8, 1)),
            "offset has the scale's shape",
        ),
        (lambda: Lut(dense(INT8, 4), dense(FLOAT16, 1, 2, 1)), "indices cannot be int8"),
        (lambda: Lut(dense(UINT1, 4), dense(INT4, 1, 2, 1)), "table cannot be int4"),
        (lambda: Lut(dense(UINT1, 4), dense(FLOAT16, 2, 1)), "rank 3"),
        (lambda: Lut(dense(UINT1, 4), dense(FLOAT16, 3, 2, 1)), "do not divide"),
        (lambda: Lut(dense(UINT2, 4), dense(FLOAT16, 1, 2, 1)), "uint2 indices need 4 table entries, not 2"),
        (lambda: Lut(dense(UINT1, 4), dense(FLOAT16, 1, 2, 2)), "vector_axis"),
        (lambda: Lut(dense(UINT1, 4), dense(FLOAT16, 1, 2, 1), 0), "vector_axis"),
        (lambda: Lut(dense(UINT1, 4), dense(FLOAT16, 1, 2, 2), 1), "outside 0 to 0"),
        (lambda: Sparse(zeros(UINT8, 4), zeros(FLOAT16, 2)), "mask is uint1"),
        (lambda: Sparse(zeros(UINT1, 4), zeros(FLOAT16, 5)), "do not fit a mask of 4"),
        (lambda: Scatter(dense(FLOAT16, 4)), "only a masked encoding"),
    ],
)
def test_parts_that_do_not_fit_are_refused(make, message):
    with pytest.raises(EncodingError, match=message):
        make()


def test_sizes_count_packed_bits_and_shared_bytes_once():
    indices, table = zeros(UINT4, 64, 3), zeros(FLOAT16, 1, 1, 16, 1)
    palette = Lut(Dense(indices), Dense(table))
    assert nbytes(palette) == 64 * 3 // 2 + 32
    shared = zeros(FLOAT32, 4)
    assert nbytes(Affine(Dense(zeros(INT8, 4)), Dense(shared), Dense(shared))) == 4 + 16


@pytest.mark.parametrize(
    ("encoding", "words"),
    [
        (dense(FLOAT16, 8), "float16"),
        (Affine(dense(INT4, 8, 8), dense(FLOAT16, 8, 2)), "int4 · 8x2 scales"),
        (Affine(dense(UINT8, 8), dense(FLOAT16, 1), dense(UINT8, 1)), "uint8 · 1 scale · offset"),
        (Lut(dense(UINT4, 8), dense(FLOAT16, 2, 16, 1)), "4-bit palette x2 · float16 table"),
        (Lut(dense(UINT4, 8), dense(FLOAT16, 1, 16, 4), 0), "4-bit palette of 4-vectors · float16 table"),
        (
            Scatter(
                Lut(
                    Sparse(zeros(UINT1, 10), zeros(UINT4, 0)),
                    Affine(dense(INT8, 1, 16, 1), dense(FLOAT16, 1, 1, 1)),
                )
            ),
            "sparse 100% · 4-bit palette · int8 table",
        ),
    ],
)
def test_an_encoding_can_be_put_in_words(encoding, words):
    assert describe(encoding) == words


@given(encodings())
@settings(max_examples=50, deadline=None)
def test_trees_survive_pickling_and_mapping(encoding):
    assert pickle.loads(pickle.dumps(encoding)) == encoding
    assert map_tensors(encoding, lambda tensor: tensor) == encoding
    assert nbytes(encoding) <= sum(tensor.nbytes for tensor in tensors(encoding))
