"""NumPy twins of the packing kernels. Arguments were checked by ``mlpress.kernels.packing``."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

# Elements handled at a time, so that unpacked bits (a byte each) stay small beside the data. A multiple of 8.
_CHUNK = 1 << 18


def pack(values: NDArray[Any], nbits: int) -> NDArray[np.uint8]:
    """See `mlpress.kernels.pack`."""
    bytes_ = values.view(np.uint8)
    packed = np.empty((values.size * nbits + 7) // 8, np.uint8)
    for start in range(0, values.size, _CHUNK):
        chunk = bytes_[start : start + _CHUNK, None]
        bits = np.unpackbits(chunk, axis=1, count=nbits, bitorder="little")
        at = start * nbits // 8
        part = np.packbits(bits, bitorder="little")
        packed[at : at + part.size] = part
    return packed


def unpack(packed: NDArray[np.uint8], nbits: int, count: int) -> NDArray[np.uint8]:
    """See `mlpress.kernels.unpack`; the values are not sign-extended."""
    values = np.empty(count, np.uint8)
    for start in range(0, count, _CHUNK):
        size = min(_CHUNK, count - start)
        at = start * nbits // 8
        part = packed[at : at + (size * nbits + 7) // 8]
        bits = np.unpackbits(part, count=size * nbits, bitorder="little").reshape(size, nbits)
        values[start : start + size] = np.packbits(bits, axis=1, bitorder="little")[:, 0]
    return values


def sign_extend(values: NDArray[np.uint8], nbits: int) -> NDArray[np.int8]:
    """Reads the low `nbits` bits as two's complement."""
    sign = np.uint8(1 << (nbits - 1))
    return ((values ^ sign) - sign).view(np.int8)


def popcount(packed: NDArray[np.uint8]) -> int:
    """See `mlpress.kernels.popcount`."""
    ones = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).sum(axis=1)
    return int(np.bincount(packed, minlength=256) @ ones)


def mask_bits(mask: NDArray[np.uint8], count: int) -> NDArray[np.bool_]:
    """Returns the first `count` bits of a packed mask as booleans."""
    return np.unpackbits(mask, count=count, bitorder="little").view(np.bool_)


def lookup(indices: NDArray[np.uint8], table: NDArray[Any]) -> NDArray[Any]:
    """See `mlpress.kernels.lookup`."""
    return table[indices]


def sum_squared_error(a: NDArray[Any], b: NDArray[Any]) -> tuple[float, float]:
    """See `mlpress.kernels.sum_squared_error`."""
    error = signal = 0.0
    for start in range(0, a.size, _CHUNK):
        left = a[start : start + _CHUNK].astype(np.float64)
        difference = left - b[start : start + _CHUNK]
        error += float(difference @ difference)
        signal += float(left @ left)
    return error, signal
