"""Every lowering, on inputs chosen by hand: the program computes what torch does."""

from __future__ import annotations

import pytest

from mlpress.mil import Opset
from tests.torch.converter.lowering.cases import CASES, Case
from tests.torch.converter.running import assert_lowers


@pytest.mark.parametrize("case", CASES, ids=str)
def test_program_computes_what_torch_does(case: Case) -> None:
    assert_lowers(case.function, case.inputs, Opset.CoreML6, Opset.CoreML8)
