"""Squared errors of encoded float16 weights, decoded and compared in one pass.

Each function returns ``(sum((weight - decoded)**2), sum(weight**2))``, computed in float64. Packed streams
are those of `mlpress.kernels.packing`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlpress.kernels._backend import native
from mlpress.kernels.reference import compare as reference

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
    """Compares a weight with ``scale * (code - zero_point)``.

    Args:
        weight: float16 [B, n], C-contiguous.
        packed: uint8 [bytes], the B * n codes.
        nbits: Width of a code, 1 to 8.
        scale: float16 [B].
        zero_point: int32 [B].
        signed: Whether codes are two's complement.

    Raises:
        ValueError: An argument is not as described.
    """
    _check(weight, 2)
    _check(scale, 1)
    if native is None:
        return reference.affine_error(weight, packed, nbits, scale, zero_point, signed=signed)
    found = native.affine_error(_bits(weight), packed, nbits, signed, _bits(scale), zero_point)
    return found[0], found[1]


def lut_error(weight: Half, packed: NDArray[np.uint8], nbits: int, tables: Half) -> tuple[float, float]:
    """Compares a weight with what indices into one table a row stand for.

    Args:
        weight: float16 [B, n], C-contiguous.
        packed: uint8 [bytes], the B * n indices.
        nbits: Width of an index, 1 to 8.
        tables: float16 [B, 2**nbits], C-contiguous.

    Raises:
        ValueError: An argument is not as described.
    """
    _check(weight, 2)
    _check(tables, 2)
    if native is None:
        return reference.lut_error(weight, packed, nbits, tables)
    found = native.lut_error(_bits(weight), packed, nbits, _bits(tables))
    return found[0], found[1]


def sparse_error(weight: Half, mask: NDArray[np.uint8], kept: Half) -> tuple[float, float]:
    """Compares a weight with the values that a mask keeps of it, zeros elsewhere.

    Args:
        weight: float16 [n], C-contiguous.
        mask: uint8 [ceil(n / 8)], a bit for each element.
        kept: float16 [ones in the mask].

    Raises:
        ValueError: An argument is not as described.
    """
    _check(weight, 1)
    _check(kept, 1)
    if native is None:
        return reference.sparse_error(weight, mask, kept)
    found = native.sparse_error(_bits(weight), mask, _bits(kept))
    return found[0], found[1]


def _check(array: NDArray[Any], rank: int) -> None:
    if array.ndim != rank or array.dtype != np.float16 or not array.flags.c_contiguous:
        raise ValueError(
            f"got {array.dtype} of rank {array.ndim}; allowed: C-contiguous float16 of rank {rank}"
        )


def _bits(array: Half) -> NDArray[np.uint16]:
    return array.view(np.uint16)
