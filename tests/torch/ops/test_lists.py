"""Lists are values: what was written to one is not seen in another."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mlpress.errors import InvalidProgramError
from mlpress.ops.lists import list_gather, list_length, list_read, list_scatter, list_write, make_list

ANCHOR = torch.empty(0)


def test_a_new_list_holds_zeros() -> None:
    made = make_list([2, 3], 4, dtype="int32", anchor=ANCHOR)
    assert list_length(made, anchor=ANCHOR).item() == 4
    assert list_length(made, anchor=ANCHOR).dtype == torch.int32
    for index in range(4):
        assert torch.equal(list_read(made, index), torch.zeros(2, 3, dtype=torch.int32))
    assert [element.shape for element in make_list(["batch", 3], anchor=ANCHOR)] == [(0, 3)]


def test_a_write_leaves_the_old_list_alone() -> None:
    old = make_list([2], 3, anchor=ANCHOR)
    new = list_write(old, 1, torch.ones(2))
    assert [x.tolist() for x in old] == [[0, 0]] * 3
    assert [x.tolist() for x in new] == [[0, 0], [1, 1], [0, 0]]


@given(st.lists(st.integers(0, 3), max_size=3), st.integers(0, 4), st.data())
@settings(max_examples=50, deadline=None)
def test_lists_do_what_pythons_do(shape: list[int], length: int, data: Any) -> None:
    ours = make_list(shape, length, anchor=ANCHOR)
    theirs = [torch.zeros(shape)] * length
    for step in range(3):
        places = data.draw(st.lists(st.integers(0, 6), max_size=3))
        values = torch.randn(len(places), *shape, generator=torch.Generator().manual_seed(step))
        if len(places) == 1:
            ours = list_write(ours, places[0], values[0])
        else:
            ours = list_scatter(ours, places, values)
        for place, value in zip(places, values, strict=True):
            theirs += [torch.zeros(shape)] * (place + 1 - len(theirs))
            theirs[place] = value
    assert list_length(ours, anchor=ANCHOR).item() == len(theirs)
    assert all(torch.equal(list_read(ours, index), element) for index, element in enumerate(theirs))
    if theirs:
        asked = data.draw(st.lists(st.integers(0, len(theirs) - 1), min_size=1, max_size=4))
        assert torch.equal(list_gather(ours, asked), torch.stack([theirs[index] for index in asked]))


def test_a_list_grows() -> None:
    grown = list_write(make_list([2], 1, anchor=ANCHOR), 3, torch.ones(2))
    assert [x.tolist() for x in grown] == [[0, 0], [0, 0], [0, 0], [1, 1]]
    grown = list_scatter((), [2, 0], torch.tensor([[5.0], [6.0]]))
    assert [x.tolist() for x in grown] == [[6], [0], [5]]


def test_gather_stacks() -> None:
    elements = tuple(torch.full((2,), float(value)) for value in range(3))
    assert list_gather(elements, [2, 0, 2]).tolist() == [[2, 2], [0, 0], [2, 2]]
    assert list_gather(elements, []).shape == (0, 2)


def test_a_loop_of_writes_has_gradients() -> None:
    x = torch.tensor(2.0, requires_grad=True)
    written = make_list([], 100, anchor=ANCHOR)
    for step in range(100):
        written = list_write(written, step, x * step)
    list_gather(written, range(100)).sum().backward()
    assert x.grad == sum(range(100))


@pytest.mark.parametrize("index", [-1, 3])
def test_elements_that_are_not_there(index: int) -> None:
    made = make_list([2], 3, anchor=ANCHOR)
    with pytest.raises(InvalidProgramError, match=f"a list of 3 elements has no element {index}"):
        list_read(made, index)
    with pytest.raises(InvalidProgramError, match=f"no element {index}"):
        list_gather(made, [0, index])


def test_negative_places_cannot_be_written() -> None:
    with pytest.raises(InvalidProgramError, match="no element -1"):
        list_write((torch.zeros(1),), -1, torch.zeros(1))
