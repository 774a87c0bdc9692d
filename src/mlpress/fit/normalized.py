"""A weight divided by a scale for each output channel, seen in pieces so that no copy of it is made."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mlpress.bits import FLOAT16, Tensor
from mlpress.encoding import Blocks, Dense, Encoding, decode_rows

Array = npt.NDArray[Any]

_PIECE = 1 << 16
_LEAST = 1e-12


def squared_ratios(scale: Array) -> npt.NDArray[np.float64]:
    """Returns how much channels count in a sum of squared errors: ``(scale / largest scale)**2``.

    Below 1e-12 it is 0: so small a channel cannot be seen in the sum, and its terms would be lost beside the
    others' in the sums of the solvers. Where all scales are 0, all channels count alike.

    Args:
        scale: Not negative, finite, any shape.
    """
    largest = float(scale.max(initial=0))
    if largest == 0:
        return np.ones(scale.shape)
    squares = np.square(scale.astype(np.float64) / largest)
    return np.where(squares < _LEAST, 0, squares)


@dataclass(frozen=True, slots=True)
class Piece:
    """A range of channels of a weight.

    Attributes:
        where: Its place in the weight.
        groups: int [g], the groups that it has a part of.
        blocks: These parts, over the piece.
    """

    where: tuple[slice, ...]
    groups: npt.NDArray[np.intp]
    blocks: Blocks


@dataclass(frozen=True, slots=True)
class Normalized:
    """A weight divided by its scales.

    Attributes:
        source: What the weight is decoded from, a range of rows at a time: float16 or float32, any shape.
        mask: uint1 of the same shape, 1 for those that count; None for all.
        scale: Not negative, finite, of the same rank, each size 1 or that of `values`. A channel with scale
            0 does not count.
        blocks: Groups that share a table.
    """

    source: Encoding
    mask: Tensor | None
    scale: Array
    blocks: Blocks

    def distinct(self, group: int) -> tuple[Array, npt.NDArray[np.float32]]:
        """Returns normalized values of a group and how much they count, [m] each.

        Of float16 weights, these are the distinct values; of float32 weights, all.
        """
        where = self.blocks.place(group)
        scale = self.scale[self._over(where)]
        counts = squared_ratios(scale)
        # Groups that share a grid count among each other, too.
        counts = counts * max(float(squared_ratios(self.scale)[self._over(where)].max(initial=0)), _LEAST)
        if self.source.dtype != FLOAT16:
            values, kept = self.part(where)
            weights = np.broadcast_to(counts, values.shape).astype(np.float32)
            weights = weights if kept is None else weights * kept
            return normalize(values, scale).reshape(-1), weights.reshape(-1)
        axis = self._axis
        shape = tuple(part.stop - part.start for part in where)
        step = _step(shape, axis)
        sums: npt.NDArray[np.float64] = np.zeros(1 << 16)
        for start in range(0, shape[axis], step):
            cut = _slices(len(shape), axis, start, start + step)
            own = tuple(s if size > 1 else slice(None) for s, size in zip(cut, scale.shape, strict=True))
            first = where[axis].start + start
            last = min(first + step, where[axis].stop)
            values, kept = self.part((*where[:axis], slice(first, last), *where[axis + 1 :]))
            part = normalize(values, scale[own])
            importance = np.broadcast_to(counts[own], part.shape)
            if kept is not None:
                importance = importance * kept
            sums += np.bincount(part.view(np.uint16).reshape(-1), importance.reshape(-1), minlength=1 << 16)
        found = np.flatnonzero(sums)
        return found.astype(np.uint16).view(np.float16), sums[found].astype(np.float32)

    def part(self, where: tuple[slice, ...]) -> tuple[Array, Array | None]:
        """Returns the values at a place, and their part of the mask."""
        start, stop, _ = where[0].indices(self.source.shape[0])
        others = (slice(None), *where[1:])
        values = decode_rows(self.source, start, stop)[others]
        return values, None if self.mask is None else decode_rows(Dense(self.mask), start, stop)[others]

    def pieces(self) -> Iterator[Piece]:
        """Cuts the weight into pieces of whole channels; a single channel is one piece."""
        axis, shape, counts = self._axis, self.blocks.shape, self.blocks.counts
        if self.scale.size == 1:
            yield Piece((slice(None),) * len(shape), np.arange(self.blocks.count), self.blocks)
            return
        size = shape[axis] // counts[axis]
        step = min(size, _step(shape, axis))
        numbers = np.arange(self.blocks.count).reshape(counts)
        for start in range(0, shape[axis], size):
            groups = numbers.take(start // size, axis=axis).reshape(-1)
            for first in range(start, start + size, step):
                last = min(first + step, start + size)
                part = (*shape[:axis], last - first, *shape[axis + 1 :])
                blocks = Blocks(part, (*counts[:axis], 1, *counts[axis + 1 :]))
                yield Piece(_slices(len(shape), axis, first, last), groups, blocks)

    def over(self, piece: Piece) -> tuple[slice, ...]:
        """Returns the place of the scales of a piece."""
        return self._over(piece.where)

    def scale_of(self, piece: Piece) -> Array:
        """Returns the scales of a piece."""
        return self.scale[self.over(piece)]

    @property
    def _axis(self) -> int:
        """The axis of the channels."""
        return next((axis for axis, size in enumerate(self.scale.shape) if size > 1), 0)

    def _over(self, where: tuple[slice, ...]) -> tuple[slice, ...]:
        pairs = zip(where, self.scale.shape, strict=True)
        return tuple(part if size > 1 else slice(None) for part, size in pairs)


def normalize(values: Array, scale: Array) -> Array:
    """Returns ``values / scale`` in the dtype of the values, kept finite; 0 where the scale is 0."""
    wide = values / np.where(scale == 0, np.inf, scale.astype(np.float32))
    largest = np.finfo(values.dtype).max
    clipped: Array = np.clip(wide, -largest, largest).astype(values.dtype)
    return clipped


def _step(shape: tuple[int, ...], axis: int) -> int:
    return max(1, _PIECE * shape[axis] // max(math.prod(shape), 1))


def _slices(rank: int, axis: int, start: int, stop: int) -> tuple[slice, ...]:
    return (*[slice(None)] * axis, slice(start, stop), *[slice(None)] * (rank - axis - 1))
