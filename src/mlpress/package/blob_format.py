"""The blob file `weight.bin`: header, metadata records and element codes, in one place for reader and writer.

The file is a 64-byte header, then one record per blob: 64 bytes of metadata and the data, each starting at a
multiple of 64 (Core ML blob storage, version 2; all integers little-endian).
"""

from __future__ import annotations

import struct
from typing import Final

from mlpress.bits import (
    BFLOAT16,
    FLOAT8_E4M3FN,
    FLOAT8_E5M2,
    FLOAT16,
    FLOAT32,
    INT4,
    INT8,
    INT16,
    INT32,
    UINT1,
    UINT2,
    UINT3,
    UINT4,
    UINT6,
    UINT8,
    UINT16,
    UINT32,
    DType,
)

ALIGNMENT: Final = 64
VERSION: Final = 2
SENTINEL: Final = 0xDEADBEEF

HEADER: Final = struct.Struct("<II56x")
"""Number of blobs, version."""

METADATA: Final = struct.Struct("<IIQQQ32x")
"""Sentinel, element code, bytes of data, offset of the data, unused bits at the end of the data."""

CODES: Final[dict[DType, int]] = {
    FLOAT16: 1,
    FLOAT32: 2,
    UINT8: 3,
    INT8: 4,
    BFLOAT16: 5,
    INT16: 6,
    UINT16: 7,
    INT4: 8,
    UINT1: 9,
    UINT2: 10,
    UINT4: 11,
    UINT3: 12,
    UINT6: 13,
    INT32: 14,
    UINT32: 15,
    FLOAT8_E4M3FN: 16,
    FLOAT8_E5M2: 17,
}
"""Element code of each type that a blob can hold."""

DTYPES: Final[dict[int, DType]] = {code: dtype for dtype, code in CODES.items()}


def align(offset: int) -> int:
    """Returns the first multiple of the alignment not below `offset`."""
    return -(-offset // ALIGNMENT) * ALIGNMENT


def padding_bits(dtype: DType, count: int) -> int:
    """Returns how many bits of the last byte `count` elements leave unused."""
    return -(count * dtype.bits) % 8
