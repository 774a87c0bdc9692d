"""Weights that are whole numbers times a scale."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mlpress.bits import INT8
from mlpress.encoding import Affine, Dense, Encoding, Lut, Scatter, decode


@dataclass(frozen=True, slots=True)
class IntegerWeight:
    """A weight ``scale[row] * integers[row]``, rows being the slices along axis 0.

    Attributes:
        encoding: Decodes to the integers, all of which fit int8.
        scale: float32 [rows].
    """

    encoding: Encoding
    scale: npt.NDArray[np.float32]

    def integers(self) -> npt.NDArray[np.int8]:
        """Returns the integers, decoded."""
        return decode(self.encoding).astype(np.int8, copy=False)


def integer_weight(encoding: Encoding) -> IntegerWeight | None:
    """Returns a weight as int8 integers and scales of rows, or None if it is no such thing.

    It is one if it was quantized without offsets, or palettized with tables that were, as long as no scale
    is for less than a row. Nothing is decoded but scales, offsets and tables.
    """
    if encoding.masked or not encoding.shape:
        return None
    found = _integers(encoding)
    if found is None:
        return None
    integers, scale = found
    rows = encoding.shape[0]
    if math.prod(scale.shape[1:]) != 1 or not scale.size or rows % len(scale):
        return None
    each_row = np.repeat(scale.reshape(-1).astype(np.float32), rows // len(scale))
    return IntegerWeight(integers, each_row)


def _integers(encoding: Encoding) -> tuple[Encoding, npt.NDArray[np.floating[Any]]] | None:
    """Returns an encoding of integers and the scales by blocks, in the rank of the weight."""
    match encoding:
        case Affine(data, scale, offset) if data.dtype.kind == "int" and _all_zero(offset):
            return data, decode(scale)
        case Lut(indices, Affine(Dense(table), scale, offset), axis) if table.dtype == INT8 and _all_zero(
            offset
        ):
            scales = decode(scale)
            if scales.shape[-2:] != (1, 1):
                return None
            return Lut(indices, Dense(table), axis), scales[..., 0, 0]
        case Scatter(source):
            found = _integers(source)
            return None if found is None else (Scatter(found[0]), found[1])
        case _:
            return None


def _all_zero(offset: Encoding | None) -> bool:
    return offset is None or not decode(offset).any()
