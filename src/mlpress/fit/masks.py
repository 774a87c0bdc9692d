"""Which weights pruning keeps.

Every function returns a packed mask over the weight in C order (bit i of the stream for element i, least
significant bit first, 1 for a weight that is kept), equal bit for bit to the mask that coremltools computes
under NumPy 2.4 or later wherever its arithmetic neither overflows nor underflows. A weight that is zero is
never kept.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlpress.errors import NonFiniteWeightError, NotApplicableError
from mlpress.fit.blocks import blocks_above, kept_of, norms
from mlpress.fit.percentiles import percentile
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
        Packed mask. Norms are computed in the weight's type, as in coremltools, and in float64 where the
        squares at the percentile overflow that type or fall below its smallest normal number.

    Raises:
        NotApplicableError: The rank does not fit, or the block is larger than half the channels.
        NonFiniteWeightError: The weight holds NaN or infinity.
        ValueError: Wrong dtype, sparsity, block size or axis.
    """
    values = _finite(weight)
    if block_size < 1:
        raise ValueError(f"block_size is {block_size}; allowed: 1 or above")
    check_channels(weight.shape, axis, block_size, "block_size")
    if sparsity in (0, 1):
        return kernels.magnitude_above(values, _threshold(values, sparsity))
    channels = weight.shape[axis]
    above = blocks_above(
        lambda kind: norms(around(weight, axis), block_size, kind),
        weight.dtype,
        channels,
        block_size,
        checked_sparsity(sparsity),
    )
    return kept_of(above, block_size, channels) & kernels.magnitude_above(values, 0)


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
    check_channels(weight.shape, axis, m, "m")
    return kernels.n_of_m(around(weight, axis), n, m)


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
    """The percentile above which values are kept."""
    kind = magnitudes.dtype.type

    def pair(rank: int) -> tuple[np.floating[Any], np.floating[Any]]:
        low, high = kernels.magnitude_pair(magnitudes, rank)
        return kind(low), kind(high)

    return percentile(magnitudes.size, checked_sparsity(sparsity), pair)


def checked_sparsity(sparsity: float) -> float:
    """Returns the argument.

    Raises:
        ValueError: It is not between 0 and 1.
    """
    if not 0 <= sparsity <= 1:
        raise ValueError(f"sparsity is {sparsity}; allowed: 0 to 1")
    return sparsity


def around(weight: Floats, axis: int) -> Floats:
    """Returns the weight as [outer, channels, inner]."""
    outer = math.prod(weight.shape[:axis])
    inner = math.prod(weight.shape[axis + 1 :])
    return np.ascontiguousarray(weight).reshape(outer, weight.shape[axis], inner)


def check_channels(shape: tuple[int, ...], axis: int, size: int, name: str) -> None:
    """Checks that groups of `size` channels fit a weight; `name` is what the user calls that size.

    Raises:
        NotApplicableError: The rank does not fit, or a group is larger than half the channels.
        ValueError: Wrong axis.
    """
    if axis not in (0, 1):
        raise ValueError(f"axis is {axis}; allowed: 0 or 1")
    if not 2 <= len(shape) <= 5:
        raise NotApplicableError(f"the weight has rank {len(shape)}; structured pruning needs rank 2 to 5")
    if size > shape[axis] / 2:
        raise NotApplicableError(f"{name} is {size}, more than half of the {shape[axis]} channels")


def _finite(weight: Floats) -> Floats:
    """The weight in one dimension."""
    values = np.ascontiguousarray(weight).reshape(-1)
    bad = kernels.count_non_finite(values)
    if bad:
        raise NonFiniteWeightError(f"{bad} of {weight.size} values are NaN or infinite")
    return values
