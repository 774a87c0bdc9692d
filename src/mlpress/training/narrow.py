"""Encodings of float32, which is trained, as encodings of float16, which many programs are in."""

from __future__ import annotations

import numpy as np

from mlpress.bits import FLOAT16, FLOAT32, DType, Tensor
from mlpress.encoding import Affine, Dense, Encoding, Lut, Scatter, Sparse


def narrowed(encoding: Encoding, dtype: DType) -> Encoding:
    """Returns the same integers, indices and masks with floats of `dtype`, float16 or float32."""
    if dtype != FLOAT16:
        return encoding
    match encoding:
        case Dense(values):
            return Dense(_half(values))
        case Sparse(mask, values):
            return Sparse(mask, _half(values))
        case Affine(data, scale, offset):
            return Affine(narrowed(data, dtype), narrowed(scale, dtype), offset)
        case Lut(indices, table, axis):
            return Lut(indices, narrowed(table, dtype), axis)
        case Scatter(source):
            return Scatter(narrowed(source, dtype))


def _half(values: Tensor) -> Tensor:
    return Tensor.from_numpy(values.numpy().astype(np.float16)) if values.dtype == FLOAT32 else values
