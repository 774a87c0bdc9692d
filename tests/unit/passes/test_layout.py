"""The roles of a weight's axes follow from the operators that use it."""

from __future__ import annotations

import numpy as np
import pytest

from mlpress.mil import Operation, Value
from mlpress.passes import compress, weights
from mlpress.recipe import Palettize, Prune, Quantize, Recipe
from tests.unit.passes.programs import constant, program, random, row, use

SIZE = (32, 48)


def consumer(kind: str, parameter: str, value: Value, name: str = "op", **attributes: object) -> Operation:
    return use(kind, name, parameter, value, **attributes)


@pytest.mark.parametrize(
    ("kind", "parameter", "attributes", "axes"),
    [
        ("linear", "weight", {}, (0, 1)),
        ("conv", "weight", {}, (0, 1)),
        ("gather", "x", {}, (0, 1)),
        ("conv_transpose", "weight", {}, (1, 0)),
        ("matmul", "y", {}, (1, 0)),
        ("matmul", "y", {"transpose_y": False}, (1, 0)),
        ("matmul", "y", {"transpose_y": True}, (0, 1)),
        ("matmul", "x", {}, (0, 1)),
        ("matmul", "x", {"transpose_x": True}, (1, 0)),
    ],
)
def test_output_and_input_channels(
    kind: str, parameter: str, attributes: dict[str, object], axes: tuple[int, int]
) -> None:
    weight = constant("w", random(SIZE))
    (found,) = weights(program(weight, consumer(kind, parameter, weight.output, **attributes)))
    assert (found.layout.output_axis, found.layout.input_axis) == axes


def test_batches_of_matrices_have_their_channels_last() -> None:
    weight = constant("w", random((4, 32, 48)))
    (found,) = weights(program(weight, consumer("matmul", "y", weight.output)))
    assert (found.layout.output_axis, found.layout.input_axis) == (2, 1)


def test_whether_a_matmul_transposes_may_be_a_constant_of_its_own() -> None:
    weight, flag = constant("w", random(SIZE)), constant("flag", np.array(True))
    (found,) = weights(program(weight, flag, consumer("matmul", "y", weight.output, transpose_y=flag.output)))
    assert (found.layout.output_axis, found.layout.input_axis) == (0, 1)


def test_operators_that_disagree_leave_the_channels_open() -> None:
    weight = constant("w", random(SIZE))
    shared = program(
        weight, consumer("linear", "weight", weight.output, "a"), consumer("matmul", "y", weight.output, "b")
    )
    _, report = compress(shared, Recipe.of(Quantize(weight_threshold=0)))
    assert row(report, "w").status == "skipped"
    assert row(report, "w").reason == "quantize: the operators that use it disagree on its output channels"
    _, report = compress(shared, Recipe.of(Quantize(weight_threshold=0, granularity="per_tensor")))
    assert row(report, "w").status == "compressed"


def test_vectors_do_not_cross_the_groups_of_a_convolution() -> None:
    weight = constant("w", random((32, 4, 3, 3)))
    grouped = program(weight, consumer("conv", "weight", weight.output, groups=8))
    _, report = compress(grouped, Recipe.of(Palettize(nbits=2, cluster_dim=8, weight_threshold=0)))
    assert "cluster_dim 8 does not divide the 4 channels" in row(report, "w").reason


@pytest.mark.parametrize(
    "stage",
    [Prune(sparsity=0.5, block_size=2, weight_threshold=0), Prune(n_m_ratio=(2, 4), weight_threshold=0)],
)
def test_patterns_are_for_conv_and_linear_unless_the_weight_is_named(stage: Prune) -> None:
    weight = constant("w", random(SIZE))
    of = program(weight, consumer("gather", "x", weight.output))
    _, report = compress(of, Recipe.of(stage))
    assert row(report, "w").reason == "prune: block and n:m sparsity are for conv and linear weights"
    _, report = compress(of, Recipe.of(stage.but(names={"w": stage})))
    assert row(report, "w").status == "compressed"
