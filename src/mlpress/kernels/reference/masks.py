"""NumPy twins of the kernels in ``mlpress.kernels.masks``."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mlpress.kernels.types import Floats


def magnitude_pair(values: Floats, rank: int) -> tuple[float, float]:
    """The magnitudes at ``rank`` and ``rank + 1`` (or the last) in ascending order."""
    following = min(rank + 1, values.size - 1)
    magnitudes = np.partition(np.abs(values), (rank, following))
    return float(magnitudes[rank]), float(magnitudes[following])


def count_non_finite(values: Floats) -> int:
    """How many values are NaN or infinite."""
    return int(values.size - np.count_nonzero(np.isfinite(values)))


def magnitude_above(values: Floats, threshold: float) -> NDArray[np.uint8]:
    """Packed bits, 1 where the magnitude is above ``threshold``."""
    return np.packbits(np.abs(values) > values.dtype.type(threshold), bitorder="little")


def n_of_m(values: Floats, n: int, m: int) -> NDArray[np.uint8]:
    """Packed bits of [outer, channels, inner], 0 for zeros and for the ``n`` smallest of ``m`` channels."""
    outer, channels, inner = values.shape
    groups = -(-channels // m)
    magnitudes = np.zeros((outer, groups * m, inner), values.dtype)
    magnitudes[:, :channels] = np.abs(values)
    magnitudes = magnitudes.reshape(outer, groups, m, inner)
    order = np.argsort(magnitudes, axis=2, kind="stable")
    keep = np.ones(magnitudes.shape, np.bool_)
    np.put_along_axis(keep, order[:, :, :n], False, axis=2)
    keep = keep.reshape(outer, groups * m, inner)[:, :channels] & (values != 0)
    return np.packbits(keep, bitorder="little")
