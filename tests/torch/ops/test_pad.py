"""Padding against NumPy's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mlpress.errors import InvalidProgramError
from mlpress.ops.pad import pad

NUMPY_MODES = {"constant": "constant", "reflect": "reflect", "replicate": "edge"}


@given(st.lists(st.integers(1, 5), min_size=1, max_size=5), st.sampled_from(sorted(NUMPY_MODES)), st.data())
@settings(max_examples=80, deadline=None)
def test_the_last_axes_are_padded_in_order(shape: list[int], mode: str, data: Any) -> None:
    padded = data.draw(st.integers(0, len(shape)))
    pairs = []
    for size in shape[len(shape) - padded :]:
        amount = st.integers(0, size - 1 if mode == "reflect" else size)
        pairs.append((data.draw(amount), data.draw(amount)))
    array = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    options = {"constant_values": 7.0} if mode == "constant" else {}
    expected = np.pad(array, [(0, 0)] * (len(shape) - padded) + pairs, NUMPY_MODES[mode], **options)
    result = pad(torch.from_numpy(array), [amount for pair in pairs for amount in pair], mode, 7.0)
    np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize(
    "amounts, mode, problem",
    [
        ([1], "constant", "1 numbers for 2 axes"),
        ([1] * 6, "constant", "6 numbers for 2 axes"),
        ([0, 3], "reflect", "reflect allows at most 2"),
        ([0, 1], "wrap", "allowed: 'constant', 'reflect', 'replicate'"),
    ],
)
def test_refused(amounts: list[int], mode: str, problem: str) -> None:
    with pytest.raises(InvalidProgramError, match=problem):
        pad(torch.zeros(2, 3), amounts, mode)
