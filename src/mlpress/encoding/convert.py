"""Encodings with floats of another type."""

from __future__ import annotations

import numpy as np

from mlpress.bits import DType, Tensor
from mlpress.encoding.nodes import Affine, Dense, Encoding, Lut, Scatter, Sparse


def in_dtype(encoding: Encoding, dtype: DType) -> Encoding:
    """Returns the same integers, indices and masks with floats of `dtype`.

    Values, tables and scales are rounded to the nearest; what leaves the range becomes infinite.
    """
    match encoding:
        case Dense(values):
            return Dense(_converted(values, dtype))
        case Sparse(mask, values):
            return Sparse(mask, _converted(values, dtype))
        case Affine(data, scale, offset):
            return Affine(in_dtype(data, dtype), in_dtype(scale, dtype), offset)
        case Lut(indices, table, vector_axis):
            return Lut(indices, in_dtype(table, dtype), vector_axis)
        case Scatter(source):
            return Scatter(in_dtype(source, dtype))


def _converted(values: Tensor, dtype: DType) -> Tensor:
    if not values.dtype.is_float or values.dtype == dtype:
        return values
    with np.errstate(over="ignore"):
        return Tensor.from_numpy(values.numpy().astype(dtype.storage), dtype)
