"""Core ML's tensors have at most five axes: moves through more are written with fewer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from mlpress.converter.passes.moves import Move, Reshape, Shape, Transpose, merged, shape_after

MAX_RANK: Final = 5


def product(sizes: Sequence[int | None]) -> int | None:
    """Returns the product of sizes, None if one of them is open."""
    return None if None in sizes else math.prod(size or 0 for size in sizes)


def with_few_axes(start: Shape, moves: Sequence[Move]) -> list[Move] | None:
    """Returns moves that do what `moves` do to a tensor of shape `start` through at most five axes.

    Axes that stay side by side are one axis. A transpose that needs more is done axis by axis: to move one is
    to swap two of four groups of axes.

    Returns:
        None if more than one size is open, or the first or last shape has more axes itself.
    """
    shapes = [shape_after(start, moves[:index]) for index in range(len(moves) + 1)]
    if any(shape.count(None) > 1 for shape in shapes) or len(start) > MAX_RANK or len(shapes[-1]) > MAX_RANK:
        return None
    made: list[Move] = []
    for move, before, after in zip(moves, shapes, shapes[1:], strict=False):
        if isinstance(move, Reshape):
            made.append(move)
        else:
            made += narrowed(before, move)
            made.append(Reshape(after))
    return list(merged(start, made))


def narrowed(before: Shape, transpose: Transpose) -> list[Move]:
    """Returns moves that put the elements of a tensor of shape `before` into the order of a transpose."""
    if len(before) <= MAX_RANK:
        return [transpose]
    shape, perm = _grouped(before, transpose.perm)
    if len(shape) <= MAX_RANK:
        return [Reshape(shape), Transpose(perm)]
    moves: list[Move] = []
    order = list(range(len(shape)))
    for place, axis in enumerate(perm):
        now = order.index(axis)
        if now != place:
            parts = order[:place], order[place:now], [axis], order[now + 1 :]
            sizes = tuple(product([shape[i] for i in part]) for part in parts)
            moves += [Reshape(sizes), Transpose((0, 2, 1, 3))]
            order.insert(place, order.pop(now))
    return moves


def _grouped(before: Shape, perm: Sequence[int]) -> tuple[Shape, tuple[int, ...]]:
    """Returns a shape in which axes that stay side by side are one, no ones, and the perm of its axes."""
    following = dict(pairwise(i for i, size in enumerate(before) if size != 1))
    runs: list[list[int]] = []
    for axis in (axis for axis in perm if before[axis] != 1):
        if runs and following.get(runs[-1][-1]) == axis:
            runs[-1].append(axis)
        else:
            runs.append([axis])
    ordered = sorted(runs)
    shape = tuple(product([before[axis] for axis in run]) for run in ordered)
    return shape, tuple(ordered.index(run) for run in runs)
