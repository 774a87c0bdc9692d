"""Given the same ranges, the graph is that of coremltools: the same operators, the same integers."""

from __future__ import annotations

from typing import Any

import coremltools.optimize as cto
import numpy as np
import pytest
from coremltools.converters.mil.mil import types
from coremltools.converters.mil.mil.passes.defs.optimize_quantization import (
    distributive_quantized_binary_op_scale_normalization as Normalization,
)

from mlpress import MLModel, Quantize, Step
from mlpress.mil import Operation, Program
from mlpress.passes.activations import Range, make_plan, quantize
from tests.oracle.activations.expressions import expressions, scales
from tests.oracle.activations.graphs import (
    GRAPHS,
    chain,
    drawn,
    flattened,
    residual,
    sums,
    two_float32_convolutions,
)
from tests.oracle.activations.peer import config, convert, quantized, random_ranges


@pytest.fixture(autouse=True)
def _scales_as_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keeps coremltools from dividing the scales around an ``add`` by one of them.

    It is a hint for one backend: after it, inner values are no longer those of the model's author, and scales
    are rounded to float16 once more.
    """
    monkeypatch.setattr(Normalization, "apply", lambda self, program: None)


def ours(model: Any, ranges: Any, rules: Any = None) -> Program:
    program = MLModel(model).program
    return quantize(program, make_plan(program, "main", rules or Quantize()), ranges)[0]


def no_number(name: str, number: float) -> None:
    """Stands for every scale and zero point where they are compared by themselves."""


def concats(model: Any) -> list[list[str]]:
    block = MLModel(model).program.functions["main"].block
    return [
        [*(value.name for value in node.inputs["values"]), node.outputs[0].name]
        for node in block.operations
        if isinstance(node, Operation) and node.type == "concat"
    ]


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("graph", GRAPHS, ids=lambda graph: graph.__name__)
def test_the_same_expressions(graph: Any, dtype: str) -> None:
    model = convert(graph)
    ranges = random_ranges(model)
    theirs = quantized(model, config(dtype=dtype), ranges, concats(model)).program
    assert expressions(ours(model, ranges, Quantize(dtype=dtype))) == expressions(theirs)


@pytest.mark.parametrize("seed", range(16))
def test_the_same_expressions_of_any_graph(seed: int) -> None:
    model = convert(drawn(seed))
    ranges = random_ranges(model)
    theirs = quantized(model, config(), ranges, concats(model)).program
    assert expressions(ours(model, ranges)) == expressions(theirs)


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("graph", [chain, residual, flattened], ids=lambda graph: graph.__name__)
def test_the_asymmetric_mode_differs_by_roundings(graph: Any, dtype: str) -> None:
    """coremltools computes scale and zero point in float16, step by step; we round once, at the end."""
    model = convert(graph)
    ranges = random_ranges(model)
    theirs = quantized(model, config("linear", dtype), ranges).program
    program = ours(model, ranges, Quantize(mode="linear", dtype=dtype))
    assert expressions(program, no_number) == expressions(theirs, no_number)
    np.testing.assert_allclose(scales(program), scales(theirs), rtol=2**-10)


def test_a_range_from_zero_on_becomes_uint8_without_a_zero_point() -> None:
    model = convert(chain)
    ranges = {name: Range(0, each.high) for name, each in random_ranges(model).items()}
    theirs = quantized(model, config("linear"), ranges).program
    assert expressions(ours(model, ranges, Quantize(mode="linear"))) == expressions(theirs)
    assert "uint8" in repr(expressions(theirs)) and "zero_point" not in repr(expressions(theirs))


@pytest.mark.parametrize("kind, graph", [("conv", chain), ("add", sums)])
def test_types_left_out(kind: str, graph: Any) -> None:
    model = convert(graph)
    ranges = random_ranges(model)
    theirs = quantized(model, config(left_out=kind), ranges).program
    program = ours(model, ranges, Step(Quantize(), {kind: None}))
    assert expressions(program) == expressions(theirs)
    assert expressions(program) != expressions(ours(model, ranges))


def test_mixed_types_are_not_merged() -> None:
    """int8 behind one operator and uint8 before the next: both pairs stay, as in coremltools."""
    one = cto.coreml.OpLinearQuantizerConfig(dtype="int8")
    other = cto.coreml.OpLinearQuantizerConfig(dtype="uint8")
    model = convert(residual)
    ranges = random_ranges(model)
    mixed = cto.coreml.OptimizationConfig(global_config=one, op_name_configs={"c4": other, "c2": other})
    theirs = quantized(model, mixed, ranges).program
    rules = Step(Quantize(), names={"c4": Quantize(dtype="uint8"), "c2": Quantize(dtype="uint8")})
    assert expressions(ours(model, ranges, rules)) == expressions(theirs)


def test_float32() -> None:
    """coremltools rounds the scales of float32 programs to float16; behind operators it then refuses them."""
    model = convert(two_float32_convolutions, types.fp32)
    ranges = random_ranges(model)
    theirs = quantized(model, config(), ranges).program
    program = ours(model, ranges)
    assert expressions(program, no_number) == expressions(theirs, no_number)
    np.testing.assert_allclose(scales(program), scales(theirs), rtol=2**-10)


def test_a_reshape_between_different_grids_keeps_its_floats() -> None:
    """coremltools reshapes the integers of one grid and reads them in the other: wrong numbers."""
    model = convert(flattened)
    ranges = {**random_ranges(model), "flat": Range(-20, 20)}
    theirs = quantized(model, config(), ranges).program
    program = ours(model, ranges)
    assert expressions(program) != expressions(theirs)
    reshaped = [node for node in program.functions["main"].block.operations if node.name == "flat"]
    assert [str(node.outputs[0].type.dtype) for node in reshaped] == ["float16"]


def test_around_an_add_nothing_but_scales_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    model = convert(sums)
    ranges = random_ranges(model)
    theirs = quantized(model, config(), ranges).program
    assert expressions(ours(model, ranges), no_number) == expressions(theirs, no_number)
