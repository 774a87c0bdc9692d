"""float32 arithmetic by default; float16 where the program says so, on request."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from mlpress.bits import FLOAT16
from mlpress.errors import MlpressError
from mlpress.mil import Opset, Program
from mlpress.ops.builder import Builder
from mlpress.runtime import Float16RangeWarning, Runner, RunOptions
from tests.torch.runtime.programs import program, tensor_type

FAITHFUL = RunOptions(precision="float16")


def square_then_scale() -> Program:
    build = Builder(Opset.CoreML8)
    x = build.input("x", tensor_type(2, dtype=FLOAT16))
    y = build.op("mul", "scaled", x=build.op("square", "squared", x=x), y=np.float16(0.25))
    return program(build, [x], [y])


def test_results_are_rounded_only_at_the_end_by_default() -> None:
    x = np.array([300.0, 1.0])
    result = Runner(square_then_scale(), "main")({"x": x})

    np.testing.assert_array_equal(result["scaled"], np.array([22500, 0.25], np.float16))


def test_faithful_run_names_the_first_operation_that_leaves_the_range() -> None:
    run = Runner(square_then_scale(), "main", FAITHFUL)
    with pytest.warns(Float16RangeWarning, match="square 'squared' has a result of 90000, outside"):
        result = run({"x": np.array([300.0, 1.0])})

    np.testing.assert_array_equal(result["scaled"], [np.inf, 0.25])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run({"x": np.array([2.0, 1.0])})


def test_faithful_run_rounds_each_result() -> None:
    build = Builder(Opset.CoreML8)
    x = build.input("x", tensor_type(1, dtype=FLOAT16))
    y = build.op("sub", "out", x=build.op("add", x=x, y=np.float16(2048)), y=np.float16(2048))
    built = program(build, [x], [y])
    x_value = {"x": np.array([0.75])}

    assert Runner(built, "main")(x_value)["out"] == 0.75
    assert Runner(built, "main", FAITHFUL)(x_value)["out"] == 0.0  # float16 steps by 2 there


def test_infinity_that_is_there_already_is_no_overflow() -> None:
    run = Runner(square_then_scale(), "main", FAITHFUL)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run({"x": np.array([np.inf, 1.0])})


def test_a_warning_is_about_the_run_that_gives_it() -> None:
    run = Runner(square_then_scale(), "main", FAITHFUL)
    list(run.values({"x": np.array([300.0, 1.0])}))  # these leave the range, and nobody is told
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run({"x": np.array([2.0, 1.0])})


def test_values_shows_each_operation_in_order() -> None:
    taps = list(Runner(square_then_scale(), "main", FAITHFUL).values({"x": np.array([3.0, 1.0])}))

    assert [(tap.name, tap.operation) for tap in taps] == [
        ("x", "input"),
        ("squared", "square"),
        ("scaled", "mul"),
    ]
    assert taps[1].tensor.tolist() == [9, 1]


def test_a_device_that_is_not_there_is_named() -> None:
    with pytest.raises(
        MlpressError, match="device is 'gpu', and torch cannot compute there: Expected one of"
    ):
        Runner(square_then_scale(), "main", RunOptions(device="gpu"))


def test_options_name_what_is_allowed() -> None:
    with pytest.raises(MlpressError, match="precision is 'half'; allowed: 'float32', 'float16'"):
        RunOptions(precision="half")  # type: ignore[arg-type]
