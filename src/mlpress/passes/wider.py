"""Tables of a width that the opset has, where none was asked for."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from mlpress.bits import UINT3, UINT4, Tensor
from mlpress.encoding import Dense, Encoding, Lut
from mlpress.mil import Opset
from mlpress.recipe import Palettize, Stage


def in_known_width(encoding: Encoding, stages: Iterable[Stage], opset: Opset) -> Encoding:
    """Returns the same values; 3-bit indices that a stage without a width chose are 4-bit before iOS 18."""
    if opset >= Opset.CoreML8 or not any(isinstance(one, Palettize) and one.nbits is None for one in stages):
        return encoding
    match encoding:
        case Lut(Dense(indices), Dense(table), None) if indices.dtype == UINT3:
            entries = table.numpy()
            padded = np.concatenate([entries, np.zeros_like(entries)], axis=-2)
            return Lut(
                Dense(Tensor.from_numpy(indices.numpy(), UINT4)),
                Dense(Tensor.from_numpy(padded, table.dtype)),
            )
    return encoding
