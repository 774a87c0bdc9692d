"""Chains of reshapes and transposes: shorter ones do the same."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mlpress.converter.passes.moves import Move, Reshape, Transpose, shape_after, shortest
from mlpress.converter.passes.rank import MAX_RANK, with_few_axes


def apply(x: np.ndarray, moves: list[Move]) -> np.ndarray:
    for move in moves:
        x = x.reshape(move.shape) if isinstance(move, Reshape) else x.transpose(move.perm)
    return x


@st.composite
def factorings(draw: st.DrawFn, total: int) -> tuple[int, ...]:
    """A shape with `total` elements, ones among them."""
    sizes = []
    while total > 1:
        size = draw(st.sampled_from([d for d in range(2, total + 1) if total % d == 0]))
        sizes.append(size)
        total //= size
    for _ in range(draw(st.integers(0, 2))):
        sizes.insert(draw(st.integers(0, len(sizes))), 1)
    return tuple(sizes) or (1,)


@st.composite
def chains(draw: st.DrawFn) -> tuple[tuple[int, ...], list[Move]]:
    total = draw(st.sampled_from([1, 6, 12, 24]))
    start = draw(factorings(total))
    moves: list[Move] = []
    for _ in range(draw(st.integers(1, 5))):
        now = shape_after(start, moves)
        if draw(st.booleans()):
            moves.append(Transpose(tuple(draw(st.permutations(range(len(now)))))))
        elif draw(st.booleans()):
            ones_moved = [size for size in now if size != 1]
            for _ in range(draw(st.integers(0, 2))):
                ones_moved.insert(draw(st.integers(0, len(ones_moved))), 1)
            moves.append(Reshape(tuple(ones_moved) or (1,)))
        else:
            moves.append(Reshape(draw(factorings(total))))
    return start, moves


@given(chains())
def test_the_shortest_chain_does_the_same_and_is_no_longer(case: tuple[tuple[int, ...], list[Move]]) -> None:
    start, moves = case
    x = np.arange(math.prod(start)).reshape(start)
    short = shortest(start, moves)
    assert len(short) <= len(moves)
    np.testing.assert_array_equal(apply(x, short), apply(x, moves))


@given(st.permutations(range(6)), st.booleans())
def test_transposes_of_many_axes_are_done_with_five(perm: list[int], ones: bool) -> None:
    wide = (2, 3, 1, 2, 5, 2) if ones else (2, 3, 2, 2, 5, 2)
    total = math.prod(wide)
    moves = [Reshape(wide), Transpose(tuple(perm)), Reshape((total,))]
    narrow = with_few_axes((total,), moves)
    assert narrow is not None
    x = np.arange(total)
    np.testing.assert_array_equal(apply(x, narrow), apply(x, moves))
    shapes = [shape_after((total,), narrow[:index]) for index in range(len(narrow) + 1)]
    assert max(map(len, shapes)) <= MAX_RANK


def test_windows_of_an_image_cost_no_more_with_five_axes() -> None:
    windows = [Reshape((1, 4, 7, 4, 7, 96)), Transpose((0, 1, 3, 2, 4, 5)), Reshape((16, 49, 96))]
    assert len(with_few_axes((1, 28, 28, 96), windows) or ()) == 3


def test_axes_of_size_1_do_not_stand_between_a_reshape_and_a_transpose() -> None:
    heads = [Reshape((17, 12, 64)), Transpose((1, 0, 2)), Reshape((1, 12, 17, 64))]
    assert len(shortest((17, 1, 768), heads)) == 2


def test_a_swap_and_its_inverse_vanish() -> None:
    assert shortest((2, 3, 4), [Transpose((2, 0, 1)), Transpose((1, 2, 0))]) == []


def test_a_transpose_that_moves_ones_only_is_a_reshape() -> None:
    assert shortest((1, 5, 7), [Transpose((1, 0, 2))]) == [Reshape((5, 1, 7))]


def test_open_sizes_stay_where_they_are() -> None:
    moves = [Reshape((1, None, 8)), Transpose((1, 0, 2)), Reshape((None, 8))]
    assert shortest((None, 8), moves) == []
