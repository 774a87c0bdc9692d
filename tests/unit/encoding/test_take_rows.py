"""Rows taken from an encoding decode to the rows of what it decodes to."""

from __future__ import annotations

import numpy as np
import pytest

from mlpress.bits import FLOAT16, INT4, INT8, UINT1, UINT4, Tensor
from mlpress.encoding import Affine, Dense, Encoding, Lut, Scatter, Sparse, decode, take_rows

RANDOM = np.random.default_rng(0)
ROWS = np.array([5, 0, 5, 11, 3])


def floats(*shape: int) -> Dense:
    return Dense(Tensor.from_numpy(RANDOM.random(shape).astype(np.float16), FLOAT16))


def integers(dtype, *shape: int) -> Dense:
    return Dense(
        Tensor.from_numpy(RANDOM.integers(dtype.low, dtype.high, shape).astype(dtype.storage), dtype)
    )


ALONE: dict[str, Encoding] = {
    "dense": floats(12, 3, 2),
    "int8 rows": Affine(integers(INT8, 12, 6), floats(12, 1)),
    "int4 blocks, offsets": Affine(integers(INT4, 12, 6), floats(12, 3), integers(INT4, 12, 3)),
    "int8 per tensor": Affine(integers(INT8, 12, 6), floats(1, 1)),
    "table": Lut(integers(UINT4, 12, 6), floats(1, 1, 16, 1)),
    "tables of groups": Lut(integers(UINT4, 12, 6), floats(4, 3, 16, 1)),
    "int8 table": Lut(integers(UINT4, 12, 6), Affine(integers(INT8, 4, 1, 16, 1), floats(4, 1, 1, 1))),
    "scale of rows": Affine(Lut(integers(UINT4, 12, 6), floats(1, 1, 16, 1)), floats(12, 1)),
    "vectors in a row": Lut(integers(UINT4, 12, 6), floats(2, 1, 16, 2), 1),
}

MASK = Tensor.from_numpy(np.ones((12, 6), np.uint8), UINT1)
TOGETHER: dict[str, Encoding] = {
    "sparse": Scatter(Sparse(MASK, Tensor.from_numpy(RANDOM.random(72).astype(np.float16), FLOAT16))),
    "vectors across rows": Lut(integers(UINT4, 6, 6), floats(1, 1, 16, 2), 0),
    "rows of three halves of a byte": Lut(integers(UINT4, 12, 3), floats(1, 1, 16, 1)),
}


@pytest.mark.parametrize("name", ALONE)
def test_rows(name):
    encoding = ALONE[name]
    taken = take_rows(encoding, ROWS)
    assert taken is not None
    assert taken.dtype == encoding.dtype
    np.testing.assert_array_equal(decode(taken), decode(encoding)[ROWS])


@pytest.mark.parametrize("name", ALONE)
def test_no_rows(name):
    taken = take_rows(ALONE[name], np.empty(0, np.int64))
    assert taken is not None
    assert taken.shape == (0, *ALONE[name].shape[1:])


@pytest.mark.parametrize("name", TOGETHER)
def test_rows_that_cannot_be_read_alone(name):
    assert take_rows(TOGETHER[name], ROWS) is None
