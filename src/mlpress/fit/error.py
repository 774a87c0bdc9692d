"""The error of a fitted weight: common forms are decoded and compared in one pass."""

from __future__ import annotations

import math

import numpy as np

from mlpress.bits import FLOAT16, INT4, INT8, UINT4, UINT8, Tensor
from mlpress.encoding import Affine, Dense, Encoding, Lut, Scatter, Sparse, squared_error
from mlpress.kernels import compare

_CODES = (INT4, UINT4, INT8, UINT8)


def squared_error_of(weight: Encoding, fitted: Encoding) -> tuple[float, float]:
    """Returns the sums of squared differences and of the squares of `weight`.

    Args:
        weight: Any tree that is not masked.
        fitted: Another of the same shape.

    Raises:
        EncodingError: The parts of an encoding contradict each other.
    """
    if isinstance(weight, Dense) and weight.dtype == fitted.dtype == FLOAT16:
        match fitted:
            case Affine(Dense(data), Dense(scale), offset) if (
                data.dtype in _CODES
                and _in_order(data.shape, scale.shape)
                and (offset is None or (isinstance(offset, Dense) and offset.dtype == data.dtype))
            ):
                return _affine_error(weight.values, data, scale, offset)
            case Lut(Dense(indices), Dense(table), None) if _in_order(indices.shape, table.shape[:-2]):
                return _lut_error(weight.values, indices, table)
            case Scatter(Sparse(mask, values)):
                return compare.sparse_error(weight.values.numpy().reshape(-1), _bytes(mask), values.numpy())
    return squared_error(weight, fitted)


def _affine_error(weight: Tensor, data: Tensor, scale: Tensor, offset: Dense | None) -> tuple[float, float]:
    zero_point = np.zeros(scale.size, np.int32) if offset is None else offset.values.numpy().astype(np.int32)
    return compare.affine_error(
        weight.numpy().reshape(scale.size, -1),
        _bytes(data),
        data.dtype.bits,
        scale.numpy().reshape(-1),
        zero_point.reshape(-1),
        signed=data.dtype.kind == "int",
    )


def _lut_error(weight: Tensor, indices: Tensor, table: Tensor) -> tuple[float, float]:
    tables = table.numpy().reshape(-1, table.shape[-2])
    return compare.lut_error(
        weight.numpy().reshape(len(tables), -1), _bytes(indices), indices.dtype.bits, tables
    )


def _in_order(shape: tuple[int, ...], counts: tuple[int, ...]) -> bool:
    """Whether the elements of each block are neighbours in memory."""
    if 0 in shape:
        return False
    # Along leading axes a block has one element; one axis may be cut anyhow; further ones are not cut.
    cut = next((axis for axis, count in enumerate(counts) if count != shape[axis]), len(shape))
    return math.prod(counts[cut + 1 :]) == 1


def _bytes(tensor: Tensor) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.frombuffer(tensor.buffer, np.uint8)
