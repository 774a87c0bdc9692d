"""NumPy twins of the comparisons of encoded weights, in terms of the other twins."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlpress.kernels.reference import affine, packing

Half = NDArray[np.float16]


def affine_error(
    weight: Half,
    packed: NDArray[np.uint8],
    nbits: int,
    scale: Half,
    zero_point: NDArray[np.int32],
    *,
    signed: bool,
) -> tuple[float, float]:
    """See `mlpress.kernels.compare.affine_error`."""
    if scale.shape != weight.shape[:1] or zero_point.shape != weight.shape[:1]:
        raise ValueError("one scale and one zero point a row are needed")
    codes: NDArray[Any] = _unpacked(packed, nbits, weight)
    if signed:
        codes = packing.sign_extend(codes, nbits)
    decoded = affine.dequantize(codes.reshape(weight.shape), scale, zero_point)
    return packing.sum_squared_error(weight.reshape(-1), decoded.reshape(-1))


def lut_error(weight: Half, packed: NDArray[np.uint8], nbits: int, tables: Half) -> tuple[float, float]:
    """See `mlpress.kernels.compare.lut_error`."""
    if tables.shape != (len(weight), 1 << nbits):
        raise ValueError("one whole table a row is needed")
    indices = _unpacked(packed, nbits, weight).reshape(weight.shape)
    decoded = np.take_along_axis(tables, indices.astype(np.intp), axis=1)
    return packing.sum_squared_error(weight.reshape(-1), decoded.reshape(-1))


def sparse_error(weight: Half, mask: NDArray[np.uint8], kept: Half) -> tuple[float, float]:
    """See `mlpress.kernels.compare.sparse_error`."""
    if mask.size != (weight.size + 7) // 8:
        raise ValueError("mask has the wrong size")
    bits = packing.mask_bits(mask, weight.size)
    if np.count_nonzero(bits) != kept.size:
        raise ValueError("the mask has another number of ones than there are values")
    decoded = np.zeros(weight.size, np.float16)
    decoded[bits] = kept
    return packing.sum_squared_error(weight, decoded)


def _unpacked(packed: NDArray[np.uint8], nbits: int, weight: Half) -> NDArray[np.uint8]:
    if not 1 <= nbits <= 8 or packed.size != (weight.size * nbits + 7) // 8:
        raise ValueError(f"{packed.size} bytes do not hold {weight.size} integers of {nbits} bits")
    return packing.unpack(packed, nbits, weight.size)
