"""Which blocks of channels are above a percentile of the blocks' Euclidean norms."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mlpress.fit.percentiles import percentile
from mlpress.kernels.types import Floats

# Values at a time where a temporary of the weight's size would be needed.
_CHUNK = 1 << 16

# Rounds an array in place and returns it.
Rounding: TypeAlias = Callable[[Floats], Floats]


def blocks_above(
    norms_in: Callable[[np.dtype[Any]], Floats],
    dtype: np.dtype[Any],
    channels: int,
    block_size: int,
    fraction: float,
) -> NDArray[np.bool_]:
    """Marks the blocks whose norm is above a percentile of the norms of all weights' blocks.

    Norms are computed in the weight's type, operation by operation as coremltools does, so that ties and the
    percentile are the same. Where their percentile overflows, or its square is below the smallest normal
    number, norms around it say little: they are computed in float64 then. Above that number the error of
    squares that underflow is no more than that of adding in the type.

    Args:
        norms_in: Makes the norms, [outer, blocks, inner], in a type: see `norms`.
        dtype: Type of the weight.
        channels: Channels of the weight.
        block_size: Consecutive channels in a block; the last block may have fewer.
        fraction: 0 to 1, how many weights are at or below the percentile.

    Returns:
        [outer, blocks, inner].
    """
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        found = norms_in(dtype)
        threshold = _percentile(found, channels, block_size, fraction)
        limits = np.finfo(dtype)
        if not limits.smallest_normal <= threshold**2 <= limits.max:
            found = norms_in(np.dtype(np.float64))
            threshold = _percentile(found, channels, block_size, fraction)
        above: NDArray[np.bool_] = found > found.dtype.type(threshold)
    return above


def norms(weight: Floats, block_size: int, kind: np.dtype[Any]) -> Floats:
    """Returns norms of the blocks of a weight, float16 as if each operation were.

    Args:
        weight: float16 or float32 [outer, channels, inner], C-contiguous and finite.
        block_size: Consecutive channels in a block.
        kind: float64, or the type of the weight.

    Returns:
        `kind` [outer, blocks, inner].
    """
    outer, channels, inner = weight.shape
    found = np.empty((outer, -(-channels // block_size), inner), kind)
    wide = np.result_type(kind, np.float32)
    rounded = _rounded_to_half if kind == np.float16 else _unchanged
    sums = _sums_along if inner == 1 else _sums_across
    for rows, blocks in _chunks(found.shape, block_size):
        part = weight[rows, blocks.start * block_size : blocks.stop * block_size]
        found[rows, blocks] = np.sqrt(sums(part, block_size, wide, rounded))
    return found


def kept_of(blocks: NDArray[np.bool_], block_size: int, channels: int) -> NDArray[np.uint8]:
    """Returns the packed mask of the weights in marked blocks, [outer, blocks, inner]."""
    return np.packbits(np.repeat(blocks, block_size, axis=1)[:, :channels], bitorder="little")


def _chunks(shape: tuple[int, ...], block_size: int) -> Iterator[tuple[slice, slice]]:
    """Ranges of rows and of blocks that cover [outer, blocks, inner]."""
    outer, blocks, inner = shape
    block_step = max(1, _CHUNK // max(1, block_size * inner))
    row_step = max(1, block_step // max(1, blocks))
    for row in range(0, outer, row_step):
        for block in range(0, blocks, block_step):
            yield slice(row, row + row_step), slice(block, block + block_step)


def _sums_across(weight: Floats, block_size: int, wide: np.dtype[Any], rounded: Rounding) -> Floats:
    """Sums of squares where a block's weights lie apart: NumPy adds them one after the other."""
    outer, channels, inner = weight.shape
    sums = np.zeros((outer, -(-channels // block_size), inner), wide)
    for first in range(min(block_size, channels)):
        channel = weight[:, first::block_size]
        some = sums[:, : channel.shape[1]]
        some += rounded(np.square(channel, dtype=wide))
        rounded(some)
    return sums


def _sums_along(weight: Floats, block_size: int, wide: np.dtype[Any], rounded: Rounding) -> Floats:
    """Sums of squares where a block's weights are neighbours: pairwise as in NumPy, float16 as float32."""
    outer, channels, _ = weight.shape
    blocks = -(-channels // block_size)
    squares = np.zeros((outer, blocks * block_size), wide)
    np.square(weight[:, :, 0], out=squares[:, :channels], dtype=wide)
    return rounded(rounded(squares).reshape(outer, blocks, block_size, 1).sum(axis=2))


def _rounded_to_half(values: Floats) -> Floats:
    """Rounds float32, none negative, to float16's precision and subnormal numbers, in place.

    NumPy's conversion is many times slower where it underflows. Values too large for float16 stay finite.
    """
    # Adding 2**13 times the power of two below a value pushes out what float16 cannot hold.
    power = np.maximum(values, np.float32(2.0**-14)).view(np.uint32)
    power &= 0x7F800000
    power += 13 << 23
    values += power.view(np.float32)
    values -= power.view(np.float32)
    return values


def _unchanged(values: Floats) -> Floats:
    return values


def _percentile(norms: Floats, channels: int, block_size: int, fraction: float) -> float:
    """Percentile of the norms, each as often as its block has channels."""
    whole, rest = divmod(channels, block_size)
    # Bits of values that are not negative are ordered as the values are; a search over them needs no copy.
    bits = norms.view(f"u{norms.itemsize}")
    groups = [(bits[:, :whole], block_size)] + ([(bits[:, whole:], rest)] if rest else [])

    def up_to(value: int) -> int:
        return sum(int(np.count_nonzero(group <= value)) * times for group, times in groups)

    def pair(rank: int) -> tuple[np.floating[Any], np.floating[Any]]:
        low = bisect_right(range(int(bits.max())), rank, key=up_to)
        high = low if up_to(low) > rank + 1 else int(bits.min(where=bits > low, initial=bits.max()))
        first, second = np.array([low, high], bits.dtype).view(norms.dtype)
        return first, second

    return percentile(norms.shape[0] * channels * norms.shape[2], fraction, pair)
