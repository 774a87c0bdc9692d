"""Which weights samples reach, what is said where they don't, and what stays as it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlpress import MLModel, Palettize, Prune, Quantize, Recipe, RunOptions, compress
from mlpress.bits import FLOAT16
from mlpress.calibration.weights import watch
from mlpress.encoding import Dense
from mlpress.errors import MlpressError, RecipeError, StrictError
from mlpress.mil import Function, Operation, Opset, Program, StateType, Value
from mlpress.ops.builder import Builder
from mlpress.package.proto.model_pb2 import FunctionDescription, ModelDescription
from mlpress.passes import Row
from tests.torch.calibration.weights.models import network, one_op, samples
from tests.torch.models.packages import mlmodel
from tests.torch.runtime.programs import tensor_type
from tests.torch.verification.models import embedding, model
from tests.unit.models.descriptions import array, state

GPTQ = Quantize(dtype="int4", method="gptq", weight_threshold=0)
SENSITIVE = Palettize(nbits=2, method="sensitive", weight_threshold=0)
SAMPLES = samples((1, 6, 16), 4)
WEIGHT = np.random.default_rng(0).standard_normal((8, 8)).astype(np.float16)


def rows(report) -> dict[str, Row]:
    return {row.name: row for row in report}


# ---- samples that are none ----


@pytest.mark.parametrize(
    "given, message",
    [
        ([], "there are no samples"),
        ([SAMPLES[0], {}], "sample 1: input 'x' is missing"),
        ([{"z": 1}], "sample 0: there is no input 'z'"),
        ([{"x": np.ones((1, 6, 17))}], r"sample 0: input 'x' has shape \(1, 6, 17\)"),
        ([SAMPLES[0], {"x": np.full((1, 6, 16), np.nan)}], "sample 1: input 'x' holds NaN"),
    ],
)
@pytest.mark.parametrize("stage", [GPTQ, SENSITIVE], ids=repr)
def test_bad_samples(stage: Any, given: Any, message: str) -> None:
    with pytest.raises(MlpressError, match=message):
        compress(network(), stage, data=given)


def test_samples_and_methods_go_together() -> None:
    with pytest.raises(
        RecipeError, match="a stage of the recipe has a method that takes samples; give data="
    ):
        compress(network(), Prune(sparsity=0.5) >> GPTQ)
    with pytest.raises(RecipeError, match="no stage takes samples"):
        compress(network(), Quantize(dtype="int4"), data=SAMPLES)
    with pytest.raises(TypeError, match="sample 0 is a ndarray"):
        compress(network(), GPTQ, data=[np.ones(3)])


# ---- weights that samples say nothing about ----


def test_an_operator_that_sums_over_no_inputs() -> None:
    table = embedding(40, 8)
    given = [{"i": np.array([[3, 3, 1, 0, 2]])}]
    with pytest.raises(StrictError, match=r"it is used by gather 'y'; allowed: conv, linear and matmul"):
        compress(table, GPTQ, data=given, strict=True)
    # Sensitivities are for any operator; rows that no sample picked matter least.
    found = compress(table, SENSITIVE, data=given, strict=True).model.predict(given[0])["y"]
    exact = table.predict(given[0])["y"]
    nearest = compress(table, Palettize(nbits=2, weight_threshold=0)).model.predict(given[0])["y"]
    assert np.square(found - exact).sum() < np.square(nearest - exact).sum()


def test_inputs_that_are_infinite_or_always_zero() -> None:
    net = one_op("linear", "weight", (12, 32), (2, 32))
    with pytest.raises(StrictError, match="its inputs are not finite"):
        compress(net, GPTQ, data=[{"x": np.full((2, 32), np.inf)}], strict=True)
    with pytest.raises(StrictError, match="its inputs were zero in all samples"):
        compress(net, GPTQ, data=[{"x": np.zeros((2, 32))}], strict=True)
    with pytest.raises(StrictError, match="no output depends on it"):
        compress(net, SENSITIVE, data=[{"x": np.zeros((2, 32))}], strict=True)


def test_more_inputs_than_memory_is_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "_MOST_COLUMNS", 31)
    net = one_op("linear", "weight", (12, 32), (2, 32))
    _, report = compress(net, GPTQ, data=samples((2, 32), 2))
    assert rows(report)["weight"].reason == "quantize: 32 inputs go into an output; allowed: 31"


def test_inside_control_flow() -> None:
    build = Builder(Opset.CoreML8)
    x = build.input("x", tensor_type(1, 8))
    weight = build.constant(WEIGHT.astype(np.float32), "weight")
    predicate = build.op("less", x=build.op("reduce_sum", x=x, axes=[0, 1]), y=np.float32(1e9))
    inner, other = build.nested(), build.nested()
    blocks = [
        inner.block([], [inner.op("linear", x=x, weight=weight)]),
        other.block([], [other.op("relu", x=x)]),
    ]
    y = Value("y", tensor_type(1, 8))
    build.operations.append(Operation("cond", "cond", {"pred": predicate}, [y], blocks))
    net = model(build, {x: array("x", 1, 8)}, {y: array("y", 1, 8)})
    given = samples((1, 8), 3)
    _, report = compress(net, GPTQ, data=given)
    assert rows(report)["weight"].reason == "quantize: it is used inside a block of control flow"
    assert compress(net, SENSITIVE, data=given, strict=True).report.rows[0].status == "compressed"


# ---- functions, states, and what else is in a package ----


def stateful(*sizes: int) -> MLModel:
    """A function for each number of steps: ``y = weight · (total + sum of x)``, with ``total`` a state."""
    functions, descriptions = {}, []
    for size in sizes:
        build = Builder(Opset.CoreML8)
        x = build.input("x", tensor_type(size, 8, dtype=FLOAT16))
        total = build.input("total", StateType(tensor_type(1, 8, dtype=FLOAT16)))
        before = Value("before", tensor_type(1, 8, dtype=FLOAT16))
        build.operations.append(Operation("read_state", "before", {"input": total}, [before]))
        added = build.op("add", x=before, y=build.op("reduce_sum", x=x, axes=[0], keep_dims=True))
        y = build.op("linear", "y", x=added, weight=build.constant(WEIGHT, "weight"))
        build.operations.append(Operation("write_state", "write", {"input": total, "data": y}, []))
        functions[f"by_{size}"] = Function([x, total], Opset.CoreML8, build.block([], [y]))
        descriptions.append(
            FunctionDescription(
                name=f"by_{size}",
                input=[array("x", size, 8, dtype="FLOAT16")],
                output=[array("y", 1, 8, dtype="FLOAT16")],
                state=[state("total", 1, 8)],
            )
        )
    description = ModelDescription(functions=descriptions, defaultFunctionName=f"by_{sizes[0]}")
    return mlmodel(Program(functions), description)


@pytest.mark.parametrize("stage", [GPTQ, SENSITIVE], ids=repr)
def test_a_package_keeps_everything_but_the_weight(stage: Any, tmp_path: Path) -> None:
    net = stateful(2, 3)
    net.author, net.user_defined_metadata["key"] = "somebody", "value"
    net.save(tmp_path / "before.mlpackage")
    before = MLModel(tmp_path / "before.mlpackage")
    sequences = [samples((2, 8), 3), samples((2, 8), 1)]
    after, report = compress(before, stage, data=sequences, strict=True)
    after.save(tmp_path / "after.mlpackage")
    after = MLModel(tmp_path / "after.mlpackage")

    assert {row.function: row.status for row in report} == {"by_2": "compressed", "by_3": "compressed"}
    assert after.get_spec().description == before.get_spec().description
    for name in ("by_2", "by_3"):
        functions = [each.program.functions[name] for each in (before, after)]
        assert len({tuple(map(str, nodes_of(each))) for each in functions}) == 1
    state = after.make_state()
    assert np.isfinite(after.predict(sequences[0][0], state)["y"]).all()


def nodes_of(function: Function) -> list[tuple[str, str]]:
    return [(type(node).__name__, node.name) for node in function.block.operations]


def test_weights_of_functions_that_samples_do_not_run_through() -> None:
    net = stateful(2, 3)
    for node in net.program.functions["by_3"].block.constants():
        if node.name == "weight":
            node.data = Dense(type(node.data.values).from_numpy(WEIGHT * np.float16(2)))
    _, report = compress(net, GPTQ, data=[samples((2, 8), 3)])
    assert [row.reason for row in report] == [
        "",
        "quantize: samples run through function 'by_2', which does not use it",
    ]


def test_how_the_model_runs_does_not_matter() -> None:
    """Weights that are kept encoded are decoded for this, and the model's own module is left alone."""
    net = network()
    net.run_options = RunOptions(weights="encoded")
    net.predict(SAMPLES[0])
    found = compress(net, Recipe.of(GPTQ), data=SAMPLES).model
    expected = compress(network(), Recipe.of(GPTQ), data=SAMPLES).model
    assert found.run_options == net.run_options
    expected.run_options = net.run_options
    np.testing.assert_array_equal(found.predict(SAMPLES[0])["y"], expected.predict(SAMPLES[0])["y"])
