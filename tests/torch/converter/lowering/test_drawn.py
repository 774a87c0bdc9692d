"""Families of lowerings, with shapes, element types and arguments drawn: programs do what torch does."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlpress.mil import Opset
from tests.torch.converter.lowering.drawn import FAMILIES
from tests.torch.converter.running import assert_lowers


@pytest.mark.parametrize("family", FAMILIES)
@settings(deadline=None, max_examples=8)
@given(st.data())
def test_program_computes_what_torch_does(family: str, data: st.DataObject) -> None:
    function, inputs = FAMILIES[family](data.draw)
    opset = data.draw(st.sampled_from(list(Opset)))
    assert_lowers(function, inputs, opset, relative=2e-4)
