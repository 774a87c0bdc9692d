"""What the captured graph looks like."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from mlpress.converter.capture import capture, source_of
from tests.torch.converter.capture.checks import assert_equal, operators
from tests.torch.converter.capture.networks import NETWORKS, made


def test_operators_of_core_ml_stay_whole_and_nothing_else_is_left() -> None:
    assert operators(capture(made("residual"), NETWORKS["residual"].inputs)) == [
        "aten.conv2d.default",
        "aten.batch_norm.default",
        "aten.relu.default",
        "aten.conv2d.padding",
        "aten.add.Tensor",
        "aten.hardswish.default",
        "aten.adaptive_avg_pool2d.default",
        "aten.reshape.default",
        "aten.linear.default",
    ]


def test_a_mask_and_positions_become_constants() -> None:
    captured = capture(made("attention"), NETWORKS["attention"].inputs)
    assert not {"aten.arange.start_step", "aten.cos.default", "aten.tril.default"} & set(operators(captured))
    shapes = sorted(tuple(value.shape) for value in captured.constants.values())
    assert shapes == [(5, 5), (5, 8)]
    used = {node.target for node in captured.graph.find_nodes(op="get_attr")}
    assert used == captured.parameters.keys() | captured.constants.keys()


class Weights(nn.Module):
    """Values that could be computed beforehand, and that compression has to find as they are."""

    def __init__(self) -> None:
        super().__init__()
        self.scaled = nn.Parameter(torch.randn(4, 4))
        self.register_buffer("codes", torch.ones(4, 4, dtype=torch.int8))
        self.register_buffer("palette", torch.randn(4, 4))
        self.register_buffer("_COREML_/palette/lut", torch.randn(1, 1, 4, 1))
        self.register_buffer("plain", torch.randn(4, 4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weights = (self.scaled * 2, self.codes.float() * 0.5, self.palette + 1, self.plain + 1)
        return sum(functional.linear(x, weight) for weight in weights)


def test_weights_are_not_folded() -> None:
    module = Weights().eval()
    captured = capture(module, torch.randn(1, 4))
    used = {node.target for node in captured.graph.find_nodes(op="get_attr")}
    assert {"scaled", "codes", "palette"} < used
    assert "plain" not in used
    assert_equal(captured, module, (torch.randn(1, 4),))


def test_large_constants_are_computed_by_the_program() -> None:
    class Mask(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + torch.arange(5000)[None] * torch.arange(5000)[:, None]

    assert sum(value.nbytes for value in capture(Mask().eval(), torch.zeros(1)).constants.values()) < 1 << 20


def test_names_of_inputs_and_outputs() -> None:
    captured = capture(made("structured"), NETWORKS["structured"].inputs)
    assert [given.name for given in captured.inputs] == ["pair_0", "pair_1", "scale"]
    assert [output.name for output in captured.outputs] == ["total", "parts_0", "parts_1", "same", "given"]


def test_one_result_is_named_after_its_operator() -> None:
    (output,) = capture(made("residual"), NETWORKS["residual"].inputs).outputs
    assert output.name == "linear"


def test_inputs_may_be_given_by_name() -> None:
    a, b, scale = torch.randn(2), torch.randn(2), torch.randn(2)
    captured = capture(made("structured"), {"scale": scale, "pair": (a, b)})
    assert [given.name for given in captured.inputs] == ["pair_0", "pair_1", "scale"]


class Mixed(nn.Module):
    """Numbers, strings and nothing among arguments and results."""

    def forward(self, x: torch.Tensor, factor: int, mode: str = "a", bias: torch.Tensor | None = None) -> Any:
        return x * factor, None, x.shape[0], True


def test_numbers_become_constants_and_nothing_is_left_out() -> None:
    captured = capture(Mixed().eval(), (torch.ones(3), 2))
    assert [given.name for given in captured.inputs] == ["x"]
    product, size, flag = captured.graph_module(torch.ones(3))
    assert (product.tolist(), int(size), bool(flag)) == ([2, 2, 2], 3, True)


def test_kept_operators_are_not_taken_apart() -> None:
    class Gated(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return functional.glu(x)

    assert operators(capture(Gated().eval(), torch.ones(4), keep=frozenset({"aten.glu.default"}))) == [
        "aten.glu.default"
    ]
    assert "aten.glu.default" not in operators(capture(Gated().eval(), torch.ones(4)))


def test_nodes_know_their_source() -> None:
    captured = capture(made("residual"), NETWORKS["residual"].inputs)
    sources = {node.name: source_of(node) for node in captured.graph.nodes}
    assert sources["conv2d"].module == "conv1"
    assert sources["relu"].module == ""
    assert sources["relu"].code.startswith("x = functional.relu_(")
    assert "networks.py:" in sources["relu"].location


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_nodes_of_a_trace_know_their_source() -> None:
    script = torch.jit.trace(made("residual"), NETWORKS["residual"].inputs)
    captured = capture(script, NETWORKS["residual"].inputs)
    sources = [source_of(node) for node in captured.graph.nodes if node.op == "call_function"]
    assert [source.module for source in sources[:3]] == ["conv1", "bn1", ""]
    assert "networks.py:" in sources[2].location


def test_shared_weights_are_referred_to_by_their_first_name() -> None:
    captured = capture(made("shared"), NETWORKS["shared"].inputs)
    used = [node.target for node in captured.graph.find_nodes(op="get_attr")]
    assert sorted(used) == ["embed.weight", "first.bias", "first.weight"]
    assert captured.parameters["head.weight"] is captured.parameters["embed.weight"]


def test_weights_are_not_copied() -> None:
    module = made("residual")
    captured = capture(module, NETWORKS["residual"].inputs)
    for name, value in module.named_parameters():
        assert captured.tensor(name).data_ptr() == value.data_ptr()
    assert captured.graph_module.get_parameter("conv1.weight").data_ptr() == module.conv1.weight.data_ptr()


def test_a_changed_input_is_reported() -> None:
    class InPlace(nn.Module):
        def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            x.relu_()
            return x + y

    captured = capture(InPlace().eval(), (torch.randn(3), torch.randn(3)))
    assert captured.mutated_inputs == ("x",)
    assert operators(captured) == ["aten.relu.default", "aten.add.Tensor"]
