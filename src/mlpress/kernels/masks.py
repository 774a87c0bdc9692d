"""Pruning masks: order statistics of magnitudes, and masks built and packed in one go.

Values are C-contiguous float16 or float32. Packed masks are uint8 arrays of ``ceil(count / 8)`` bytes,
element i at bit ``i % 8`` of byte ``i // 8``, 1 for a value that is kept; the bits after the last element are
zero.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlpress.kernels._backend import native
from mlpress.kernels.reference import masks as reference
from mlpress.kernels.types import Floats

# Above this the compiled kernel's pairwise comparisons lose to a sort.
_LARGEST_COMPARED_GROUP = 32

# An eighth of the values whose flags are there as whole bytes at a time.
_PIECE = 1 << 15


def magnitude_pair(values: Floats, rank: int) -> tuple[float, float]:
    """Two neighbours among the sorted magnitudes.

    Args:
        values: float16 or float32 [n], finite, n at least 1.
        rank: Position in ascending order, from 0.

    Returns:
        The magnitudes at ``rank`` and at ``rank + 1``; twice the largest when ``rank`` is the last.

    Raises:
        ValueError: Wrong dtype, or ``rank`` outside 0..n-1.
    """
    _check(values, 1)
    if not 0 <= rank < values.size:
        raise ValueError(f"rank is {rank}; allowed: 0..{values.size - 1}")
    if native is None:
        return reference.magnitude_pair(values, rank)
    low, high = native.masks_magnitude_pair(_bits(values), rank)
    floats = np.array([low, high], np.uint16 if values.dtype == np.float16 else np.uint32).view(values.dtype)
    return float(floats[0]), float(floats[1])


def count_non_finite(values: Floats) -> int:
    """How many of the values [n] are NaN or infinite.

    Raises:
        ValueError: Wrong dtype.
    """
    _check(values, 1)
    if native is None:
        return reference.count_non_finite(values)
    return int(native.masks_count_non_finite(_bits(values)))


def magnitude_above(values: Floats, threshold: float) -> NDArray[np.uint8]:
    """Mask of the values whose magnitude is above a threshold.

    Args:
        values: float16 or float32 [n].
        threshold: At least 0; rounded to the type of the values first. Infinity keeps nothing.

    Returns:
        Packed mask.

    Raises:
        ValueError: Wrong dtype, or a negative or NaN threshold.
    """
    _check(values, 1)
    if not threshold >= 0:
        raise ValueError(f"threshold is {threshold}; allowed: 0 or above")
    with np.errstate(over="ignore"):
        rounded = np.array([threshold]).astype(values.dtype)
    if native is None:
        return reference.magnitude_above(values, float(rounded[0]))
    packed = np.empty(-(-values.size // 8), np.uint8)
    native.masks_magnitude_above(_bits(values), int(_bits(rounded)[0]), packed)
    return packed


def n_of_m(values: Floats, n: int, m: int) -> NDArray[np.uint8]:
    """Mask that leaves out the ``n`` smallest of each ``m`` consecutive channels, and zeros.

    Args:
        values: float16 or float32 [outer, channels, inner], finite. Where ``m`` does not divide the channels,
            the last group is completed with zeros.
        n: How many of a group to leave out, 0..m. Of equal magnitudes the first goes first.
        m: Channels in a group, at least 1.

    Returns:
        Packed mask over the values in C order.

    Raises:
        ValueError: Wrong dtype, rank, ``n`` or ``m``.
    """
    _check(values, 3)
    if not 0 <= n <= m or m < 1:
        raise ValueError(f"n:m is {n}:{m}; allowed: m at least 1 and n in 0..m")
    if native is None or m > _LARGEST_COMPARED_GROUP:
        return reference.n_of_m(values, n, m)
    _, channels, inner = values.shape
    # Eight rows make whole bytes, whatever their length.
    step = max(_PIECE // max(channels * inner, 1), 1) * 8
    packed = [np.zeros(0, np.uint8)]
    for start in range(0, len(values), step):
        part = values[start : start + step]
        keep = np.empty(part.size, np.uint8)
        native.masks_n_of_m(_bits(part).reshape(-1), len(part), channels, inner, n, m, keep)
        packed.append(np.packbits(keep, bitorder="little"))
    return np.concatenate(packed)


def _bits(array: NDArray[Any]) -> NDArray[Any]:
    return array.view(np.uint16 if array.dtype == np.float16 else np.uint32)


def _check(values: Floats, rank: int) -> None:
    if values.ndim != rank or values.dtype not in (np.float16, np.float32) or not values.flags.c_contiguous:
        raise ValueError(
            f"values are {values.dtype} {values.shape}; "
            f"allowed: C-contiguous float16 or float32 of rank {rank}"
        )
