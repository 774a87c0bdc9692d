"""Blocks: a tensor cut into equal boxes, seen as a matrix with one row per box."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mlpress.errors import EncodingError


@dataclass(frozen=True, slots=True)
class Blocks:
    """A grid of equal blocks over a tensor.

    Attributes:
        shape: Shape of the tensor.
        counts: Number of blocks along each axis.
    """

    shape: tuple[int, ...]
    counts: tuple[int, ...]

    def __post_init__(self) -> None:
        divides = len(self.counts) == len(self.shape) and all(
            count > 0 and size % count == 0 for count, size in zip(self.counts, self.shape, strict=True)
        )
        if not divides:
            raise EncodingError(f"{self.counts} blocks do not divide shape {self.shape}")

    @property
    def count(self) -> int:
        """Number of blocks."""
        return math.prod(self.counts)

    def rows(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Returns `array` (of shape `shape`) as [count, elements of a block]; a view where it can be."""
        return array.reshape(self._split_shape()).transpose(self._permutation()).reshape(self.count, -1)

    def unrows(self, rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Inverse of `rows`."""
        permutation = self._permutation()
        split = self._split_shape()
        moved = rows.reshape([split[axis] for axis in permutation])
        return np.ascontiguousarray(moved.transpose(np.argsort(permutation))).reshape(self.shape)

    def place(self, number: int) -> tuple[slice, ...]:
        """Returns where a block lies in the tensor.

        Args:
            number: Of the row that `rows` makes of it.
        """
        numbers = map(int, np.unravel_index(number, self.counts))
        sizes = [size // count for size, count in zip(self.shape, self.counts, strict=True)]
        return tuple(slice(n * size, (n + 1) * size) for n, size in zip(numbers, sizes, strict=True))

    def _split_shape(self) -> list[int]:
        split: list[int] = []
        for size, count in zip(self.shape, self.counts, strict=True):
            split += [count, size // count]
        return split

    def _permutation(self) -> list[int]:
        rank = len(self.shape)
        return [2 * axis for axis in range(rank)] + [2 * axis + 1 for axis in range(rank)]


def spread(blocks: npt.NDArray[Any], shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """Repeats one value for each block so that there is one for each element.

    Raises:
        EncodingError: The blocks do not divide the shape.
    """
    for axis, (count, size) in enumerate(zip(blocks.shape, shape, strict=True)):
        if not count or size % count:
            raise EncodingError(f"{blocks.shape} blocks do not divide shape {shape}")
        if count not in (1, size):
            blocks = blocks.repeat(size // count, axis=axis)
    return np.broadcast_to(blocks, shape)


def to_vectors(array: npt.NDArray[Any], axis: int, length: int) -> npt.NDArray[Any]:
    """Cuts `axis` into vectors, elements last: [..., n, ...] to [..., n / length, ..., length]."""
    count = array.shape[axis] // length
    split = array.reshape(*array.shape[:axis], count, length, *array.shape[axis + 1 :])
    return np.moveaxis(split, axis + 1, -1)


def from_vectors(vectors: npt.NDArray[Any], axis: int) -> npt.NDArray[Any]:
    """Inverse of `to_vectors`."""
    split = np.moveaxis(vectors, -1, axis + 1)
    shape = (*split.shape[:axis], split.shape[axis] * split.shape[axis + 1], *split.shape[axis + 2 :])
    return np.ascontiguousarray(split).reshape(shape)
