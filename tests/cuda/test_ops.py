"""Every op gives on the GPU what it gives on the CPU, and keeps its results there."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.cuda.device import DEVICE
from tests.torch.ops.example import Example, as_run, call, in_floats, leaves, run
from tests.torch.ops.examples import EXAMPLES


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_an_op_gives_what_it_gives_on_the_cpu(example: Example) -> None:
    expected = leaves(run(example))
    found = leaves(
        call(in_floats(example), lambda array: as_run(torch.from_numpy(np.asarray(array))).to(DEVICE))
    )
    assert [each.device.type for each in found] == [DEVICE] * len(expected)
    assert [(each.shape, each.dtype) for each in found] == [(each.shape, each.dtype) for each in expected]
    if not example.op.startswith("random"):
        for one, other in zip(found, expected, strict=True):
            torch.testing.assert_close(one.cpu(), other, rtol=1e-4, atol=1e-5, equal_nan=True)
