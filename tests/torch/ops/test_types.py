"""What holds for every op: it has an example, leaves operands alone, and fake tensors tell its types."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from mlpress import ops
from tests.torch.ops.example import Example, arguments, as_run, in_floats, leaves, run, run_as_typed
from tests.torch.ops.examples import EXAMPLES

DATA_DEPENDENT = {"non_zero": "how many indices there are depends on the values"}
"""Ops whose result has no shape before they run, and why."""


def test_every_form_of_every_op_has_an_example() -> None:
    shown = {(example.op, example.version.opset) for example in EXAMPLES}
    defined = {(name, version.opset) for name in ops.names() for version in ops.versions(name)}
    assert sorted(defined - shown) == []


@pytest.mark.parametrize("example", [e for e in EXAMPLES if e.op not in DATA_DEPENDENT], ids=str)
def test_fake_tensors_have_the_shapes_and_types_of_real_results(example: Example) -> None:
    real = leaves(run(example))
    with FakeTensorMode(allow_non_fake_inputs=True):
        fake = leaves(run_as_typed(example))
    assert [(as_run(x).dtype, x.shape) for x in fake] == [(x.dtype, x.shape) for x in real]


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_results_are_on_the_device_of_the_operands(example: Example) -> None:
    """Here all operands are on the CPU, and what an op makes without asking where lands somewhere else."""
    call = in_floats(example)
    operands = arguments(call, lambda array: as_run(torch.from_numpy(np.asarray(array))))
    with torch.device("meta"):
        results = leaves(call.version.function(**operands))
    assert {str(x.device) for x in results} == {"cpu"}


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_operands_are_not_changed(example: Example) -> None:
    arrays = [
        array
        for value in example.arguments.values()
        for array in (value if isinstance(value, tuple) else (value,))
        if isinstance(array, np.ndarray)
    ]
    before = [array.copy() for array in arrays]
    run(example)
    for array, copy in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(array, copy)
