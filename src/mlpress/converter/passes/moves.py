"""Chains of operations that only move elements, as data: reshapes and transposes; how to shorten them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

Shape = tuple[int | None, ...]
"""Sizes; an open one is None."""


@dataclass(frozen=True, slots=True)
class Reshape:
    """The same elements in row-major order under another shape."""

    shape: Shape


@dataclass(frozen=True, slots=True)
class Transpose:
    """Axis i of the result is axis perm[i]."""

    perm: tuple[int, ...]


Move = Reshape | Transpose


def shortest(start: Shape, moves: Sequence[Move]) -> list[Move]:
    """Returns the shortest chain found that does what `moves` do to a tensor of shape `start`."""
    plain = merged(start, moves)
    return min(
        (plain, merged(start, _ones_first(start, plain)), merged(start, _ones_last(start, plain))), key=len
    )


def shape_after(start: Shape, moves: Sequence[Move]) -> Shape:
    """Returns the shape of the result of a chain."""
    for move in moves:
        start = move.shape if isinstance(move, Reshape) else tuple(start[axis] for axis in move.perm)
    return start


def merged(start: Shape, moves: Sequence[Move]) -> list[Move]:
    """Merges neighbours of one kind and drops moves without effect; a transpose of ones is a reshape."""
    made: list[Move] = []
    for move in moves:
        before = shape_after(start, made)
        if isinstance(move, Transpose) and _moves_ones_only(before, move):
            move = Reshape(tuple(before[axis] for axis in move.perm))
        if made and isinstance(move, Reshape) and isinstance(made[-1], Reshape):
            made.pop()
        elif made and isinstance(move, Transpose) and isinstance(made[-1], Transpose):
            inner = made.pop()
            assert isinstance(inner, Transpose)
            move = Transpose(tuple(inner.perm[axis] for axis in move.perm))
        before = shape_after(start, made)
        if not _without_effect(before, move):
            made.append(move)
    return made if len(made) == len(moves) else merged(start, made)


def keeps_axes(before: Shape, after: Shape) -> bool:
    """Whether a reshape only adds and drops axes of size 1."""
    return [size for size in before if size != 1] == [size for size in after if size != 1]


def _without_effect(before: Shape, move: Move) -> bool:
    if isinstance(move, Transpose):
        return list(move.perm) == list(range(len(move.perm)))
    return before == move.shape


def _moves_ones_only(before: Shape, move: Transpose) -> bool:
    kept = [axis for axis in move.perm if before[axis] != 1]
    return kept == sorted(kept)


def _ones_first(start: Shape, moves: Sequence[Move]) -> list[Move]:
    """Moves reshapes that only add and drop ones in front of the transpose before them."""
    made: list[Move] = []
    for move in moves:
        if made and isinstance(move, Reshape) and isinstance(made[-1], Transpose):
            before = shape_after(start, made[:-1])
            if keeps_axes(shape_after(start, made), move.shape):
                transpose = made.pop()
                assert isinstance(transpose, Transpose)
                made += _reshape_then_transpose(before, transpose, move.shape)
                continue
        made.append(move)
    return made


def _reshape_then_transpose(before: Shape, transpose: Transpose, after: Shape) -> list[Move]:
    """Returns a reshape of `before` and a transpose that give `after`, whose axes are in transposed order."""
    order = [axis for axis in transpose.perm if before[axis] != 1]  # real axes as the result has them
    real = iter(order)
    places = [None if size == 1 else next(real) for size in after]  # source axis of each axis of the result
    ones = [index for index, axis in enumerate(places) if axis is None]
    inner: list[int] = []  # result axes in the order in which the reshape lays them out
    others = iter(sorted(order))
    position = {axis: index for index, axis in enumerate(places) if axis is not None}
    for index in range(len(after)):
        inner.append(index if index in ones else position[next(others)])
    shape = tuple(after[index] for index in inner)
    return [Reshape(shape), Transpose(tuple(inner.index(index) for index in range(len(after))))]


def _ones_last(start: Shape, moves: Sequence[Move]) -> list[Move]:
    """Moves reshapes that only add and drop ones behind the transpose after them."""
    made: list[Move] = []
    for move in moves:
        if made and isinstance(move, Transpose) and isinstance(made[-1], Reshape):
            before = shape_after(start, made[:-1])
            after = shape_after(start, made)
            if keeps_axes(before, after):
                made.pop()
                made += _transpose_then_reshape(before, after, move)
                continue
        made.append(move)
    return made


def _transpose_then_reshape(before: Shape, after: Shape, transpose: Transpose) -> list[Move]:
    """Returns a transpose of `before` and a reshape that do what a reshape to `after` and `transpose` do."""
    real = iter(axis for axis, size in enumerate(before) if size != 1)
    source = [None if size == 1 else next(real) for size in after]
    order = [source[axis] for axis in transpose.perm if source[axis] is not None]
    ones = [axis for axis, size in enumerate(before) if size == 1]
    perm = (*ones, *(axis for axis in order if axis is not None))
    return [Transpose(perm), Reshape(tuple(after[axis] for axis in transpose.perm))]
