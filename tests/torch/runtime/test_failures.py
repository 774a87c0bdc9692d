"""A run that fails says which operation could not be computed."""

from __future__ import annotations

import numpy as np
import pytest

from mlpress.bits import INT32
from mlpress.errors import ExecutionError
from mlpress.mil import Operation, Value
from mlpress.runtime import Runner, RunOptions
from tests.torch.runtime.programs import builder, program, tensor_type

GOOD, BAD = {"x": np.arange(3.0), "at": np.array([2])}, {"x": np.arange(3.0), "at": np.array([7])}


def looking_up(inside: bool) -> Runner:
    """Takes an element of x, maybe inside a branch."""
    build = builder()
    x, at = build.input("x", tensor_type(3)), build.input("at", tensor_type(1, dtype=INT32))
    place = build.nested() if inside else build
    found = place.op("gather", "picked", x=x, indices=at, axis=0, batch_dims=0, validate_indices=False)
    if inside:
        blocks = [place.block([], [found]), build.nested().block([], [x])]
        found = Value("chosen", tensor_type(None))
        build.operations.append(
            Operation("cond", "chosen", {"pred": build.constant(np.bool_(True), "yes")}, [found], blocks)
        )
    return Runner(program(build, [x, at], [found]), "main")


@pytest.mark.parametrize("inside", [False, True])
def test_the_operation_is_named_with_the_reason(inside: bool) -> None:
    runner = looking_up(inside)
    with pytest.raises(ExecutionError, match=r"^gather 'picked': index out of range"):
        runner(BAD)
    assert next(iter(runner(GOOD).values())).tolist() == [2.0]


def test_compiled_code_tells_the_reason_only() -> None:
    build = builder()
    x, y = build.input("x", tensor_type(None)), build.input("y", tensor_type(None))
    total = build.op("add", "total", x=x, y=y)
    runner = Runner(program(build, [x, y], [total]), "main", RunOptions(compile=True))
    with pytest.raises(ExecutionError):
        runner({"x": np.zeros(3), "y": np.zeros(2)})
