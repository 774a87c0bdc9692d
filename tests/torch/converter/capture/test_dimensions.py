"""Dimensions that stay open."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.export import Dim

from mlpress.converter.capture import CaptureError, SpecializedDimensionError, capture
from tests.torch.converter.capture.checks import assert_clean, assert_equal, operators
from tests.torch.converter.capture.networks import NETWORKS, made

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning")

CASES = {
    "residual": (lambda n: (torch.randn(n, 3, 8, 8),), {"x": {0: Dim("n", max=64)}}),
    "attention": (lambda n: (torch.randn(2, n, 8),), {"x": {1: Dim("n", max=64)}}),
    "encoder": (lambda n: (torch.randn(n, 4, 8),), {"x": {0: Dim("n", max=64)}}),
    "lstm": (lambda n: (torch.randint(0, 9, (2, n)),), {"tokens": {1: Dim("n", max=64)}}),
    "gru": (lambda n: (torch.randint(0, 9, (2, n)),), {"tokens": {1: Dim("n", max=64)}}),
    "shared": (lambda n: (torch.randint(0, 6, (n, 3)),), {"tokens": {0: Dim("n", max=64)}}),
    "upsampled": (lambda n: (torch.randn(n, 2, 8, 8),), {"x": {0: Dim("n", max=64)}}),
    "views": (lambda n: (torch.randn(n + 2, 4),), {"x": {0: Dim("n", max=64)}}),
}


@pytest.mark.parametrize("script", [False, True], ids=["module", "trace"])
@pytest.mark.parametrize("name", CASES)
def test_a_graph_is_right_at_other_sizes(name: str, script: bool) -> None:
    module = made(name)
    inputs, shapes = CASES[name]
    given = torch.jit.trace(module, inputs(3), check_trace=False) if script else module
    captured = capture(given, inputs(3), shapes)
    (dimension,) = captured.dimensions
    assert (dimension.name, dimension.maximum) == ("n", 64)
    assert_clean(captured)
    for size in (2, 5):
        assert_equal(captured, module, inputs(size), tolerance=NETWORKS[name].tolerance)


def test_an_example_of_size_one_does_not_fix_the_size() -> None:
    module = made("lstm")
    captured = capture(
        module, torch.tensor([[1]]), {"tokens": {0: Dim("batch"), 1: Dim("length", min=4, max=9)}}
    )
    assert [(d.name, d.minimum, d.maximum) for d in captured.dimensions] == [
        ("batch", 1, None),
        ("length", 4, 9),
    ]
    assert_equal(captured, module, (torch.randint(0, 9, (3, 7)),))


def test_one_dimension_may_be_shared_by_inputs() -> None:
    class Add(nn.Module):
        def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            return x + y

    n = Dim("n")
    captured = capture(Add().eval(), (torch.ones(1, 2), torch.ones(1, 2)), ({0: n}, (n, None)))
    assert [dimension.name for dimension in captured.dimensions] == ["n"]
    assert captured.inputs[0].shape == captured.inputs[1].shape


def test_sizes_are_computed_by_nodes() -> None:
    class Doubled(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.new_zeros(x.shape[0] * 2 + 1) + x.sum()

    captured = capture(Doubled().eval(), torch.ones(3), {"x": {0: Dim("n")}})
    assert "aten.sym_size.int" in operators(captured)
    assert captured.graph_module(torch.ones(5))[0].shape == (11,)


def test_a_fixed_dimension_is_an_error() -> None:
    class Fixed(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.view(3, 2)

    with pytest.raises(SpecializedDimensionError, match="n"):
        capture(Fixed().eval(), torch.ones(3, 2), {"x": {0: Dim("n")}})


def test_unknown_names_in_dynamic_shapes_are_an_error() -> None:
    with pytest.raises(CaptureError, match="names y; the inputs are x"):
        capture(made("residual"), torch.ones(1, 3, 8, 8), {"y": {0: Dim("n")}})


def test_the_dimensions_of_a_program_are_its_own() -> None:
    program = torch.export.export(
        made("residual"), (torch.ones(2, 3, 8, 8),), dynamic_shapes=({0: Dim("n", max=8)},)
    )
    (dimension,) = capture(program).dimensions
    assert dimension.maximum == 8
    with pytest.raises(CaptureError, match="has its open dimensions already"):
        capture(program, dynamic_shapes=({0: Dim("n")},))
