"""Which weights pruning keeps.

Every function returns a packed mask over the weight in C order (bit i of the stream for element i, least
significant bit first, 1 for a weight that is kept), equal bit for bit to the mask that coremltools computes
under NumPy 2.4 or later wherever its arithmetic stays finite. A weight that is zero is never kept.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mlpress.errors import NonFiniteWeightError, NotApplicableError
from mlpress.kernels import masks as kernels
from mlpress.kernels.types import Floats


def magnitude_mask(weight: Floats, sparsity: float) -> NDArray[np.uint8]:
    """Keeps the weights whose magnitude is above a percentile of all magnitudes.

    Args:
        weight: float16 or float32 of any shape.
        sparsity: Fraction to prune, 0 to 1. 0 keeps all non-zeros, 1 keeps nothing. Ties at the percentile go
            too.

    Returns:
        Packed mask.

    Raises:
        NonFiniteWeightError: The weight holds NaN or infinity.
        ValueError: Wrong dtype or sparsity.
    """
    values = _finite(weight)
    return kernels.magnitude_above(values, _threshold(values, sparsity))


def block_mask(weight: Floats, sparsity: float, block_size: int, axis: int) -> NDArray[np.uint8]:
    """Keeps whole blocks of channels: those whose Euclidean norm is above a percentile of all norms.

    Args:
        weight: float16 or float32, of rank 2 to 5.
        sparsity: Fraction to prune, 0 to 1.
        block_size: Consecutive channels in a block, at most half of them; the last block is completed with
            zeros.
        axis: Channel axis, 0 or 1.

    Returns:
        Packed mask. Norms are computed in the weight's type, or in float32 where that overflows.

    Raises:
        NotApplicableError: The rank does not fit, or the block is larger than half the channels.
        NonFiniteWeightError: The weight holds NaN or infinity.
        ValueError: Wrong dtype, sparsity, block size or axis.
    """
    values = _finite(weight)
    if block_size < 1:
        raise ValueError(f"block_size is {block_size}; allowed: 1 or above")
    _check_channels(weight, axis, block_size, "block_size")
    if sparsity == 0:  # norms of tiny weights can be zero
        return kernels.magnitude_above(values, 0)
    norms = _block_norms(weight, block_size, axis)
    if not np.isfinite(norms).all():
        norms = _block_norms(weight.astype(np.float32), block_size, axis)
    norms = np.ascontiguousarray(norms)
    threshold = _threshold(norms.reshape(-1), sparsity)
    norms[weight == 0] = 0
    return kernels.magnitude_above(norms.reshape(-1), threshold)


def n_m_mask(weight: Floats, n: int, m: int, axis: int) -> NDArray[np.uint8]:
    """Prunes the ``n`` smallest of each ``m`` consecutive channels.

    Args:
        weight: float16 or float32, of rank 2 to 5.
        n: How many of each group to prune, 0..m. Of equal magnitudes the first goes first.
        m: Channels in a group, at most half of them; the last group is completed with zeros, which go first.
        axis: Channel axis, 0 or 1.

    Returns:
        Packed mask.

    Raises:
        NotApplicableError: The rank does not fit, or the group is larger than half the channels.
        NonFiniteWeightError: The weight holds NaN or infinity.
        ValueError: Wrong dtype, ``n``, ``m`` or axis.
    """
    _finite(weight)
    _check_channels(weight, axis, m, "m")
    outer = int(np.prod(weight.shape[:axis], dtype=np.int64))
    inner = int(np.prod(weight.shape[axis + 1 :], dtype=np.int64))
    return kernels.n_of_m(np.ascontiguousarray(weight).reshape(outer, weight.shape[axis], inner), n, m)


def threshold_mask(weight: Floats, threshold: float) -> NDArray[np.uint8]:
    """Keeps the weights whose magnitude is above a threshold, which is rounded to the weight's type first.

    Args:
        weight: float16 or float32 of any shape.
        threshold: At least 0.

    Returns:
        Packed mask.

    Raises:
        NonFiniteWeightError: The weight holds NaN or infinity.
        ValueError: Wrong dtype or threshold.
    """
    return kernels.magnitude_above(_finite(weight), threshold)


def _threshold(magnitudes: Floats, sparsity: float) -> float:
    """The percentile above which values are kept; NumPy's linear interpolation, in the type of the values."""
    if not 0 <= sparsity <= 1:
        raise ValueError(f"sparsity is {sparsity}; allowed: 0 to 1")
    percent = sparsity * 100
    if percent == 0 or magnitudes.size == 0:
        return 0.0
    if percent == 100:
        return float("inf")
    position = (magnitudes.size - 1) * (percent / 100)
    rank = int(position)
    low, high = kernels.magnitude_pair(magnitudes, rank)
    return _interpolate(magnitudes.dtype.type(low), magnitudes.dtype.type(high), position - rank)


def _interpolate(low: np.floating, high: np.floating, part: float) -> float:
    kind = type(low)
    step = kind(high - low)
    # From the middle on NumPy goes back from the upper value, so that the result is monotonic.
    if part >= 0.5:
        return float(kind(high - kind(step * kind(1 - part))))
    return float(kind(low + kind(step * kind(part))))


def _block_norms(weight: Floats, block_size: int, axis: int) -> Floats:
    """Norm of its block for every weight: the shape and type of the weight."""
    # The order of a float16 sum depends on the memory layout, so this is a view, as in coremltools.
    moved = np.swapaxes(np.abs(weight), 0, axis)
    channels = moved.shape[0]
    missing = -channels % block_size
    if missing:
        moved = np.pad(moved, [(0, missing)] + [(0, 0)] * (moved.ndim - 1))
    blocks = moved.reshape(-1, block_size, *moved.shape[1:])
    with np.errstate(over="ignore"):
        norms = np.sqrt(np.sum(blocks * blocks, axis=1))
    return np.swapaxes(np.repeat(norms, block_size, axis=0)[:channels], 0, axis)


def _check_channels(weight: Floats, axis: int, size: int, name: str) -> None:
    if axis not in (0, 1):
        raise ValueError(f"axis is {axis}; allowed: 0 or 1")
    if not 2 <= weight.ndim <= 5:
        raise NotApplicableError(f"the weight has rank {weight.ndim}; structured pruning needs rank 2 to 5")
    if size > weight.shape[axis] / 2:
        raise NotApplicableError(f"{name} is {size}, more than half of the {weight.shape[axis]} channels")


def _finite(weight: Floats) -> Floats:
    """The weight in one dimension."""
    values = np.ascontiguousarray(weight).reshape(-1)
    bad = kernels.count_non_finite(values)
    if bad:
        raise NonFiniteWeightError(f"{bad} of {weight.size} values are NaN or infinite")
    return values
