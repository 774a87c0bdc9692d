"""Leaves of encodings from arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from mlpress import kernels
from mlpress.bits import UINT1, DType, Tensor
from mlpress.encoding import Dense, Sparse

Array = npt.NDArray[Any]


def dense(array: Array, dtype: DType | None = None) -> Dense:
    """Returns a copy of an array as a leaf, of the type given or its own."""
    return Dense(Tensor.from_numpy(np.array(array, order="C"), dtype))


def leaf(elements: Array, dtype: DType, mask: Array | None) -> Dense | Sparse:
    """Returns the elements where a mask (bool, of the same shape) is True; all of them without one."""
    if mask is None:
        return dense(elements, dtype)
    flat = np.ascontiguousarray(elements).reshape(-1)
    bits = Tensor.from_numpy(mask.astype(np.uint8), UINT1)
    kept = kernels.gather_mask(flat, np.frombuffer(bits.buffer, np.uint8))
    return Sparse(bits, Tensor.from_numpy(kept, dtype))
