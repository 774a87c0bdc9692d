"""Which weights pruning keeps of an encoding, which is decoded a range of rows at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlpress.bits import FLOAT16
from mlpress.encoding import Dense, Encoding, decode, decode_rows, row_ranges, size_of
from mlpress.errors import NonFiniteWeightError
from mlpress.fit import masks
from mlpress.fit.blocks import blocks_above, kept_of, norms
from mlpress.fit.percentiles import percentile
from mlpress.kernels.kmeans import distinct_values
from mlpress.kernels.masks import count_non_finite, magnitude_above, n_of_m
from mlpress.kernels.types import Floats


def magnitude_mask(encoding: Encoding, sparsity: float) -> NDArray[np.uint8]:
    """Returns what `mlpress.fit.masks.magnitude_mask` returns for the decoded weight, and raises the same."""
    if not _comes_in_parts(encoding):
        return masks.magnitude_mask(decode(encoding), sparsity)
    counts = np.zeros(1 << 15, np.int64)
    for part in _finite_parts(encoding):
        values, masses = distinct_values(np.abs(part.reshape(-1)))
        counts[values.astype(np.float16).view(np.uint16)] += masses.astype(np.int64)
    below = np.cumsum(counts)

    def pair(rank: int) -> tuple[np.floating[Any], np.floating[Any]]:
        bits = np.searchsorted(below, [rank, min(rank + 1, below[-1] - 1)], side="right")
        low, high = bits.astype(np.uint16).view(np.float16)
        return low, high

    threshold = percentile(size_of(encoding), masks.checked_sparsity(sparsity), pair)
    return np.concatenate([magnitude_above(part.reshape(-1), threshold) for part in _parts(encoding)])


def threshold_mask(encoding: Encoding, threshold: float) -> NDArray[np.uint8]:
    """Returns what `mlpress.fit.masks.threshold_mask` returns for the decoded weight, and raises the same."""
    if not _comes_in_parts(encoding):
        return masks.threshold_mask(decode(encoding), threshold)
    return np.concatenate([magnitude_above(part.reshape(-1), threshold) for part in _finite_parts(encoding)])


def block_mask(encoding: Encoding, sparsity: float, block_size: int, axis: int) -> NDArray[np.uint8]:
    """Returns what `mlpress.fit.masks.block_mask` returns for the decoded weight, and raises the same."""
    together = max(block_size, 1) if axis == 0 else 1
    if sparsity in (0, 1) or block_size < 1 or not _comes_in_parts(encoding, together):
        return masks.block_mask(decode(encoding), sparsity, block_size, axis)
    masks.check_channels(encoding.shape, axis, block_size, "block_size")
    for _ in _finite_parts(encoding):
        pass
    ranges = _ranges(encoding, together)

    def norms_in(kind: np.dtype[Any]) -> Floats:
        parts = (masks.around(decode_rows(encoding, *rows), axis) for rows in ranges)
        return np.concatenate([norms(part, block_size, kind) for part in parts], axis=1 - axis)

    fraction = masks.checked_sparsity(sparsity)
    above = blocks_above(norms_in, np.dtype(np.float16), encoding.shape[axis], block_size, fraction)
    kept = []
    for start, stop in ranges:
        part = np.ascontiguousarray(decode_rows(encoding, start, stop))
        blocks = above[start:stop] if axis == 1 else above[:, start // block_size : stop // block_size]
        channels = encoding.shape[1] if axis == 1 else stop - start
        kept.append(kept_of(blocks, block_size, channels) & magnitude_above(part.reshape(-1), 0))
    return np.concatenate(kept)


def n_m_mask(encoding: Encoding, n: int, m: int, axis: int) -> NDArray[np.uint8]:
    """Returns what `mlpress.fit.masks.n_m_mask` returns for the decoded weight, and raises the same."""
    together = max(m, 1) if axis == 0 else 1  # a pattern of nothing is refused later
    if not _comes_in_parts(encoding, together):
        return masks.n_m_mask(decode(encoding), n, m, axis)
    masks.check_channels(encoding.shape, axis, m, "m")
    parts = _finite_parts(encoding, together)
    return np.concatenate([n_of_m(masks.around(part, axis), n, m) for part in parts])


def _comes_in_parts(encoding: Encoding, together: int = 1) -> bool:
    """Whether decoding all of it would take memory, and parts of so many rows take whole bytes of a mask."""
    return (
        not isinstance(encoding, Dense)
        and encoding.dtype == FLOAT16
        and size_of(encoding) > 0
        and encoding.shape[0] % math.lcm(_rows_of_bytes(encoding), together) == 0
    )


def _rows_of_bytes(encoding: Encoding) -> int:
    """Returns how many rows take whole bytes of a mask."""
    return 8 // math.gcd(8, math.prod(encoding.shape[1:]))


def _ranges(encoding: Encoding, together: int = 1) -> list[tuple[int, int]]:
    """Returns ranges of rows, so many together, that take whole bytes of a mask."""
    return list(row_ranges(encoding, together=math.lcm(_rows_of_bytes(encoding), together)))


def _parts(encoding: Encoding, together: int = 1) -> Iterator[NDArray[np.float16]]:
    for start, stop in _ranges(encoding, together):
        yield np.ascontiguousarray(decode_rows(encoding, start, stop))


def _finite_parts(encoding: Encoding, together: int = 1) -> Iterator[NDArray[np.float16]]:
    """Yields the parts; at the end, complains about all numbers in them that are not finite."""
    bad = 0
    for part in _parts(encoding, together):
        wrong = count_non_finite(part.reshape(-1))
        bad += wrong
        if not wrong:
            yield part
    if bad:
        raise NonFiniteWeightError(f"{bad} of {size_of(encoding)} values are NaN or infinite")
