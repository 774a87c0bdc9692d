"""A tensor holds the bytes of a file: packed, little-endian, row-major."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mlpress.bits import (
    ALL_DTYPES,
    FLOAT16,
    INT4,
    UINT1,
    UINT2,
    UINT3,
    UINT4,
    UINT6,
    Tensor,
    dtype_named,
    dtype_of,
)

PACKED = [dtype for dtype in ALL_DTYPES if dtype.is_packed]


@pytest.mark.parametrize(
    ("dtype", "values", "stored"),
    [
        (FLOAT16, [1.5, -2, 3.25], "003e00c08042"),
        (INT4, [1, -2, 7, -8, 3], "e18703"),
        (UINT1, [1, 0, 0, 0, 0, 0, 0, 1, 1, 1, 0], "8103"),
        (UINT2, [0, 1, 2, 3, 3], "e403"),
        (UINT3, [0, 1, 2, 3, 4, 5, 6, 7, 1], "88c6fa01"),
        (UINT4, [1, 2, 15], "210f"),
        (UINT6, [1, 2, 3, 63, 33], "8130fc21"),
    ],
)
def test_elements_become_the_bytes_that_core_ml_writes(dtype, values, stored):
    tensor = Tensor.from_numpy(np.array(values, dtype.storage), dtype)
    assert bytes(tensor.buffer).hex() == stored
    np.testing.assert_array_equal(tensor.numpy(), np.array(values, dtype.storage))


@given(st.data(), st.sampled_from(PACKED), hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=9))
def test_packed_elements_come_back(data, dtype, shape):
    array = data.draw(
        hnp.arrays(dtype.storage, shape, elements=st.integers(dtype.low, dtype.high).map(dtype.storage.type))
    )
    tensor = Tensor.from_numpy(array, dtype)
    assert tensor.nbytes == (array.size * dtype.bits + 7) // 8
    np.testing.assert_array_equal(tensor.numpy(), array)
    assert pickle.loads(pickle.dumps(tensor)) == tensor


@pytest.mark.parametrize("dtype", [dtype for dtype in ALL_DTYPES if not dtype.is_packed])
def test_elements_of_a_byte_or_more_are_views_of_the_bytes(dtype):
    array = np.arange(6).reshape(2, 3).astype(dtype.storage)
    tensor = Tensor.from_numpy(array)
    assert (tensor.dtype, dtype_of(array), dtype_named(dtype.name)) == (dtype, dtype, dtype)
    assert np.shares_memory(tensor.numpy(), array)
    assert not tensor.numpy().flags.writeable
    assert tensor == Tensor(dtype, (2, 3), array.tobytes())


def test_tensors_over_the_same_bytes_have_one_address():
    data = memoryview(bytes(range(16)))
    assert Tensor(FLOAT16, (4,), data[:8]).address == Tensor(UINT4, (16,), data[:8]).address
    assert Tensor(FLOAT16, (4,), data[:8]).address != Tensor(FLOAT16, (4,), data[8:]).address


def test_misfits_are_refused_with_the_value():
    with pytest.raises(ValueError, match="value 8 does not fit int4; allowed: -8 to 7"):
        Tensor.from_numpy(np.array([1, 8], np.int8), INT4)
    with pytest.raises(ValueError, match=r"float16 tensor of shape \(3,\) takes 6 bytes, not 5"):
        Tensor(FLOAT16, (3,), b"12345")
    with pytest.raises(ValueError, match="made from uint8 elements, not int8"):
        Tensor.from_numpy(np.array([1], np.int8), UINT4)
    with pytest.raises(ValueError, match="complex64"):
        dtype_of(np.zeros(1, np.complex64))
    with pytest.raises(ValueError, match="unknown element type 'int5'"):
        dtype_named("int5")
    with pytest.raises(ValueError, match="cannot take shape"):
        Tensor.from_numpy(np.zeros(4, np.float16)).reshape((3,))
