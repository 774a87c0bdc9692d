"""Which weights a recipe is applied to, and what is said of the others."""

from __future__ import annotations

import numpy as np
import pytest

from mlpress.errors import RecipeError
from mlpress.mil import Program
from mlpress.passes import Options, compress
from mlpress.recipe import Palettize, Quantize, Recipe, Stage, Step
from tests.unit.passes.programs import constant, encodings, linears, program, random, row, use

PALETTIZE, QUANTIZE = Palettize(nbits=4, weight_threshold=0), Quantize(weight_threshold=0)


def result(of: Program, what: Stage | Step | Recipe) -> dict[str, str]:
    """How each weight is stored afterwards."""
    return {found.name: found.after for found in compress(of, Recipe.of(what))[1]}


def two_kinds() -> Program:
    kernel, table = constant("kernel", random((16, 8, 3, 3))), constant("table", random((64, 32)))
    return program(
        kernel,
        use("conv", "first_conv", "weight", kernel.output),
        table,
        use("gather", "look_up", "x", table.output),
    )


@pytest.mark.parametrize(
    ("step", "kernel", "table"),
    [
        (PALETTIZE.but(), "palette", "palette"),
        (PALETTIZE.but(op_types={"gather": QUANTIZE}), "palette", "int8"),
        (PALETTIZE.but(op_types={"gather": None}), "palette", "float16"),
        (PALETTIZE.but(names={"table": None}), "palette", "float16"),
        (PALETTIZE.but(names={"look_up": None}), "palette", "float16"),
        (PALETTIZE.but(names={"first_*": QUANTIZE}), "int8", "palette"),
        (PALETTIZE.but(names={"ker?el": QUANTIZE}), "int8", "palette"),
        (PALETTIZE.but(op_types={"gather": None}, names={"table": QUANTIZE}), "palette", "int8"),
        (Step(None, op_types={"conv": PALETTIZE}), "palette", "float16"),
        (Step(None, names={"look_up": PALETTIZE}), "float16", "palette"),
        (PALETTIZE.but(names={"nothing": None}), "palette", "palette"),
    ],
)
def test_the_most_particular_rule_wins(step: Step, kernel: str, table: str) -> None:
    found = result(two_kinds(), step)
    assert kernel in found["kernel"]
    assert table in found["table"]


def test_each_step_of_a_recipe_has_its_own_exceptions() -> None:
    recipe = PALETTIZE.but(op_types={"conv": None}) >> QUANTIZE
    found = result(two_kinds(), recipe)
    assert "palette" in found["table"]
    assert "int8 table" in found["table"]
    assert found["kernel"].startswith("int8")


def test_a_constant_of_operators_to_be_treated_differently_is_an_error_that_names_all() -> None:
    weight = constant("tied", random((64, 32)))
    shared = program(
        weight, use("gather", "embed", "x", weight.output), use("linear", "head", "weight", weight.output)
    )
    with pytest.raises(
        RecipeError, match=r"'tied' is shared by gather 'embed'.*linear 'head'.*name the constant"
    ):
        compress(shared, Recipe.of(PALETTIZE.but(op_types={"linear": QUANTIZE})))
    assert "palette" in result(shared, PALETTIZE)["tied"]
    by_name = PALETTIZE.but(op_types={"linear": QUANTIZE}, names={"tied": None})
    assert result(shared, by_name)["tied"] == "float16"


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (random((64,)), "one axis only"),
        (random((4, 4)), "16 elements are not more than weight_threshold, 100"),
        (np.arange(400, dtype=np.int32).reshape(20, 20), "values are int32, not float16 or float32"),
    ],
)
def test_what_is_no_weight_is_left_with_the_reason(values: np.ndarray, reason: str) -> None:
    report = compress(linears({"w": values}), Recipe.of(Quantize(weight_threshold=100)))[1]
    assert row(report, "w").status == "left"
    assert reason in row(report, "w").reason


def test_the_threshold_is_exclusive() -> None:
    of = linears({"w": random((32, 64))})
    assert result(of, Quantize(weight_threshold=2048))["w"] == "float16"
    assert result(of, Quantize(weight_threshold=2047))["w"].startswith("int8")


def test_fewer_than_ten_elements_are_no_weight() -> None:
    assert not list(compress(linears({"w": random((3, 3))}), Recipe.of(QUANTIZE))[1])


def test_a_constant_that_no_operator_uses_is_left() -> None:
    weight = constant("w", random())
    report = compress(program(weight), Recipe.of(QUANTIZE))[1]
    assert row(report, "w").reason == "no operator uses it"


def test_a_weight_that_is_compressed_already_is_left_when_asked_to() -> None:
    once, _ = compress(linears({"w": random()}), Recipe.of(PALETTIZE))
    again, report = compress(once, Recipe.of(QUANTIZE), Options(already_compressed=False))
    assert "joint_compression=True" in row(report, "w").reason
    assert encodings(again) == encodings(once)
    assert "int8 table" in result(once, QUANTIZE)["w"]
