"""Arrays that others wait for: large ones are kept in a temporary file, out of memory."""

from __future__ import annotations

import math
import mmap
import tempfile
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from mlpress.bits import Spool, Tensor
from mlpress.encoding import Encoding, map_tensors, size_of, tensors

Array = npt.NDArray[Any]

_LARGE: Final = 1 << 20
"""Bytes of an array that is worth it."""


def encoding_aside(encoding: Encoding) -> Encoding:
    """Returns an encoding with what takes half a byte a weight or more in a file."""
    least = _least(size_of(encoding))
    if all(tensor.nbytes < least for tensor in tensors(encoding)):
        return encoding
    spool = Spool()
    return map_tensors(encoding, lambda tensor: tensor if tensor.nbytes < least else spool.store(tensor))


def array_aside(array: Array, weights: int) -> Array:
    """Returns an array, in a file if it takes half a byte or more for each of so many weights."""
    if array.nbytes < _least(weights):
        return array
    return Spool().store(Tensor.from_numpy(array)).numpy()


def empty_aside(shape: tuple[int, ...], dtype: npt.DTypeLike, weights: int) -> Array:
    """Returns an array to be filled, in a file if it has half a byte or more for each of so many weights."""
    size = math.prod(shape)
    nbytes = size * np.dtype(dtype).itemsize
    if nbytes < _least(weights):
        return np.empty(shape, dtype)
    with tempfile.TemporaryFile() as file:
        file.truncate(nbytes)
        return np.frombuffer(mmap.mmap(file.fileno(), nbytes), dtype, size).reshape(shape)


def _least(weights: int) -> int:
    return max(weights // 2, _LARGE)
