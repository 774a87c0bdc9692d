"""NumPy twin of `mlpress.kernels.encoded`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlpress.kernels.reference import packing

_Float32 = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class PackedWeight:
    """A weight [n, k]: ``scale * (value - offset)``, a scale and an offset for each block of a row.

    Attributes:
        data: uint8, `bits` for each element, the first in the lowest bits; rows take whole bytes.
        bits: 1, 2, 3, 4, 6 or 8.
        signed: Whether elements of 8 bits are int8; they are uint8 otherwise.
        tables: float32 [tables, 16], [tables, 64] for 6 bits: values of elements below 8 bits, each table for
            as many rows. Those of fewer than 4 bits repeat. None for 8 bits: elements are the values.
        scale: float16 or float32 [n * blocks], row by row; None for 1.
        offset: int8 [n * blocks], less than it is by `offset_base`; None for 0.
        offset_base: See `offset`.
        shape: (n, k).
        block: Elements of a block.
    """

    data: NDArray[np.uint8]
    bits: int
    signed: bool
    tables: _Float32 | None
    scale: NDArray[np.floating[Any]] | None
    offset: NDArray[np.int8] | None
    offset_base: int
    shape: tuple[int, int]
    block: int


def linear(x: _Float32, weight: PackedWeight, bias: _Float32 | None) -> _Float32:
    """Returns ``x @ weight.T + bias``."""
    product: _Float32 = x @ decode(weight).T
    return product if bias is None else product + bias


def decode(weight: PackedWeight) -> _Float32:
    """Returns the weight, float32 [n, k]."""
    n, k = weight.shape
    if weight.tables is None:
        values = weight.data.view(np.int8 if weight.signed else np.uint8).reshape(n, k).astype(np.float32)
    else:
        indices = packing.unpack(weight.data, weight.bits, n * k).reshape(n, k)
        table = np.arange(n) // (n // len(weight.tables))
        values = weight.tables[table[:, None], indices]
    blocks = values.reshape(n, k // weight.block, weight.block)
    if weight.offset is not None:
        offset = weight.offset.astype(np.float32) + np.float32(weight.offset_base)
        blocks = blocks - offset.reshape(n, -1, 1)
    if weight.scale is not None:
        blocks = blocks * weight.scale.astype(np.float32).reshape(n, -1, 1)
    return blocks.reshape(n, k)
