"""What the passes make of patterns that models write out: fewer operations, the same results."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mlpress.converter.lowering.program import lower
from mlpress.converter.passes.pipeline import prepare_float16, simplify
from mlpress.mil import Constant, Opset, Program
from tests.torch.converter.running import (
    assert_close,
    captured,
    check_types,
    expected_of,
    operations,
    results_of,
)


def simplified(
    model: Callable[..., Any], inputs: Sequence[Tensor], opset: Opset = Opset.CoreML7, **options: Any
) -> Program:
    reference = expected_of(model, inputs)
    program = lower(captured(model, inputs, **options), opset)
    simplify(program.functions["main"])
    check_types(program)
    for ours, theirs in zip(results_of(program, inputs), reference, strict=True):
        assert_close(ours, theirs)
    return program


def seeded(module: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    for part in [*module.parameters(), *module.buffers()]:
        if part.is_floating_point():
            nn.init.uniform_(part, 0.5, 1.5)
    return module


class Sequence2(nn.Sequential):
    """A sequence of functions and modules."""

    def __init__(self, *parts: Any) -> None:
        super().__init__(*(part for part in parts if isinstance(part, nn.Module)))
        self._parts = parts

    def forward(self, x: Tensor) -> Tensor:
        for part in self._parts:
            x = part(x)
        return x


IMAGE, ROWS = torch.randn(2, 4, 6, 6), torch.randn(2, 5, 8)


@pytest.mark.parametrize(
    "model, x, expected",
    [
        (Sequence2(nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6)), IMAGE, ["conv"]),
        (Sequence2(nn.Conv2d(4, 6, 3, bias=False), nn.BatchNorm2d(6)), IMAGE, ["conv"]),
        (Sequence2(nn.Conv2d(4, 6, 3, groups=2), nn.BatchNorm2d(6, affine=False)), IMAGE, ["conv"]),
        (Sequence2(nn.ConvTranspose2d(4, 6, 3), nn.BatchNorm2d(6)), IMAGE, ["conv_transpose"]),
        (Sequence2(nn.ConvTranspose2d(4, 6, 3, groups=2), nn.BatchNorm2d(6)), IMAGE, ["conv_transpose"]),
        (Sequence2(nn.Conv1d(5, 6, 3), nn.BatchNorm1d(6)), ROWS, ["conv"]),
        (Sequence2(nn.Linear(8, 6), nn.BatchNorm1d(6)), ROWS[0], ["linear"]),
        (Sequence2(nn.BatchNorm2d(4), nn.Conv2d(4, 6, 3)), IMAGE, ["batch_norm", "conv"]),
        (Sequence2(nn.Linear(8, 3), lambda x: x * 2 + 1), ROWS, ["linear"]),
        (
            Sequence2(nn.Conv2d(4, 6, 3), lambda x: x * torch.rand(6, 1, 1)),
            IMAGE,
            ["random_uniform", "conv", "mul"],
        ),
    ],
    ids=str,
)
def test_layers_take_in_what_follows(model: nn.Module, x: Tensor, expected: list[str]) -> None:
    if "random_uniform" in expected:
        program = lower(captured(seeded(model), (x,)), Opset.CoreML7)
        simplify(program.functions["main"])
    else:
        program = simplified(seeded(model), (x,))
    assert sorted(operations(program)) == sorted(expected)


def gelu_by_hand(x: Tensor) -> Tensor:
    return x * 0.5 * (1.0 + torch.erf(x / math.sqrt(2.0)))


def gelu_by_tanh(x: Tensor) -> Tensor:
    return 0.5 * x * (1.0 + torch.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * torch.pow(x, 3.0))))


def gelu_by_tanh_factored(x: Tensor) -> Tensor:
    return 0.5 * x * (1.0 + torch.tanh(x * 0.7978845608 * (1.0 + 0.044715 * x * x)))


def gelu_by_sigmoid(x: Tensor) -> Tensor:
    return x * torch.sigmoid(1.702 * x)


def swish(x: Tensor) -> Tensor:
    return torch.sigmoid(x) * x


@pytest.mark.parametrize(
    "function", [gelu_by_hand, gelu_by_tanh, gelu_by_tanh_factored, gelu_by_sigmoid, swish]
)
def test_activations_are_recognised(function: Callable[[Tensor], Tensor]) -> None:
    assert operations(simplified(function, (ROWS,))) == ["silu" if function is swish else "gelu"]


def test_what_only_looks_like_gelu_stays() -> None:
    program = simplified(lambda x: 0.5 * x * (1.0 + torch.erf(x)), (ROWS,))
    assert "gelu" not in operations(program)


class LayerNorm(nn.Module):
    def __init__(self, axis: int) -> None:
        super().__init__()
        self.axis = axis
        shape = (8,) if axis == -1 else (4, 1, 1)
        self.weight, self.bias = nn.Parameter(torch.randn(shape)), nn.Parameter(torch.randn(shape))

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean(self.axis, keepdim=True)
        variance = (x - mean).pow(2).mean(self.axis, keepdim=True)
        return self.weight * ((x - mean) / torch.sqrt(variance + 1e-5)) + self.bias


@pytest.mark.parametrize("axis, x", [(-1, ROWS), (1, IMAGE)])
def test_layer_norm_is_recognised(axis: int, x: Tensor) -> None:
    assert operations(simplified(LayerNorm(axis), (x,))) == ["layer_norm"]


class InstanceNorm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.randn(1, 4, 1, 1)), nn.Parameter(torch.randn(1, 4, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean((2, 3), keepdim=True)
        variance = ((x - mean) ** 2).mean((2, 3), keepdim=True)
        return (x - mean) * torch.rsqrt(variance + 1e-5) * self.weight + self.bias


def test_instance_norm_is_recognised() -> None:
    assert operations(simplified(InstanceNorm(), (IMAGE,))) == ["instance_norm"]


class RmsNorm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.rand(8))

    def forward(self, x: Tensor) -> Tensor:
        return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6))


def test_rms_norm_has_no_square_that_leaves_the_range_of_float16() -> None:
    program = simplified(RmsNorm(), (ROWS,))
    assert operations(program) == ["square", "reduce_mean", "rsqrt", "mul", "mul"]
    prepare_float16(program.functions["main"])
    assert operations(program) == ["mul", "concat", "layer_norm", "slice_by_index"]
    check_types(program)
    model = RmsNorm()
    program = lower(captured(model, (ROWS,)), Opset.CoreML7)
    simplify(program.functions["main"])
    prepare_float16(program.functions["main"])
    assert_close(results_of(program, (1000 * ROWS,))[0], expected_of(model, (1000 * ROWS,))[0])


class Attention(nn.Module):
    def __init__(self, scale: float, masked: bool) -> None:
        super().__init__()
        self.scale, self.masked = scale, masked
        self.projections = nn.ModuleList([nn.Linear(8, 8) for _ in range(3)])

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (layer(x).view(2, 5, 2, 4).transpose(1, 2) for layer in self.projections)
        scores = q @ k.transpose(-2, -1) * self.scale
        if self.masked:
            scores = scores + torch.triu(torch.full((5, 5), -1e4), 1)
        return (scores.softmax(-1) @ v).transpose(1, 2).reshape(2, 5, 8)


@pytest.mark.parametrize("scale", [0.5, 0.3])
@pytest.mark.parametrize("masked", [False, True])
def test_attention_is_recognised_with_any_scale(scale: float, masked: bool) -> None:
    new = operations(simplified(Attention(scale, masked), (ROWS,), Opset.CoreML8))
    assert new.count("scaled_dot_product_attention") == 1
    assert not {"softmax", "matmul", "mul"} & set(new)
    old = operations(simplified(Attention(scale, masked), (ROWS,), Opset.CoreML7))
    assert old.count("matmul") == 2 and "mul" not in old  # the scale went into the weights


class RelativePositions(nn.Module):
    """Adds a bias for each pair of 128 places to scores; a table has one for each distance."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(255, 4))
        places = torch.arange(128)
        self.register_buffer("distances", (places[:, None] - places + 127).view(-1))

    def forward(self, scores: Tensor) -> Tensor:
        return scores + self.table[self.distances].view(128, 128, 4).permute(2, 0, 1)


def test_biases_of_relative_positions_are_constants() -> None:
    assert operations(simplified(RelativePositions(), (torch.randn(1, 4, 128, 128),))) == ["add"]


class Repeated(nn.Module):
    """Multiplies by a matrix of 8 MB that is one row, repeated."""

    def __init__(self) -> None:
        super().__init__()
        self.row = nn.Parameter(torch.randn(1, 2048))

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.row.expand(1024, 2048)


def test_what_would_make_the_model_much_larger_is_computed_when_it_runs() -> None:
    assert operations(simplified(Repeated(), (torch.randn(2, 1024),))) == ["tile", "matmul"]


class ShiftedWindows(nn.Module):
    """Attention in 6 windows with queries scaled beforehand, a bias by place and a mask by window."""

    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.randn(1, 2, 5, 5))
        self.register_buffer("mask", torch.randn(1, 6, 1, 5, 5))

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1) + self.bias
        scores = scores.view(1, 6, 2, 5, 5) + self.mask
        return scores.view(6, 2, 5, 5).softmax(-1) @ v


def test_attention_takes_the_scale_of_queries_and_all_masks() -> None:
    inputs = [torch.randn(6, 2, 5, 4) for _ in range(3)]
    program = simplified(ShiftedWindows(), inputs, Opset.CoreML8)
    assert operations(program) == ["scaled_dot_product_attention"]


def test_queries_keys_and_values_of_one_layer_are_split_from_its_result() -> None:
    attention = nn.MultiheadAttention(8, 2, batch_first=True)
    attend = Sequence2(attention, lambda x: x)
    attend._parts = (lambda x: attention(x, x, x)[0],)
    found = operations(simplified(attend, (ROWS[:1],)))
    assert found.count("split") == 1
    assert found.count("slice_by_index") == 0


def test_channel_shuffle_after_a_join_is_part_of_it() -> None:
    def shuffled(x: Tensor) -> Tensor:
        joined = torch.cat([x, torch.relu(x)], 1)
        return joined.view(2, 2, 4, 6, 6).transpose(1, 2).reshape(2, 8, 6, 6)

    assert operations(simplified(shuffled, (IMAGE,))) == ["relu", "concat"]


@pytest.mark.parametrize(
    "function, expected",
    [
        (lambda x: x.transpose(1, 2).transpose(1, 2) + 1, ["add"]),
        (lambda x: x.view(10, 8).view(2, 40).relu(), ["reshape", "relu"]),
        (lambda x: x.unsqueeze(0).squeeze(0).relu(), ["relu"]),
        (lambda x: torch.relu(x.transpose(1, 2)).transpose(1, 2) * 2, ["relu", "mul"]),
        (lambda x: (x + 0) * 1, ["identity"]),
        (lambda x: (x * 2) * 3 * 0.5, ["mul"]),
        (lambda x: x.relu() + x.relu(), ["relu", "add"]),
        (lambda x: x @ torch.ones(8, 3) + 1, ["linear"]),
        (lambda x: x @ x.transpose(1, 2), ["matmul"]),
        (lambda x: x + torch.arange(8).float().view(1, 8) * 2, ["add"]),
        (lambda x: (x.exp(), x.sin())[0], ["exp"]),
        (lambda x: F.linear(x, torch.ones(3, 8)) + torch.arange(3.0), ["linear"]),
        (lambda x: (x.transpose(1, 2) + torch.arange(5.0)).transpose(1, 2), ["add"]),
        (lambda x: (torch.arange(5.0) - x.transpose(1, 2)).transpose(1, 2), ["sub"]),
        (lambda x: (x.unsqueeze(0) * torch.arange(2.0).view(2, 1, 1)).view(80), ["mul", "reshape"]),
        (lambda x: (x.view(2, 40) * 3).view(2, 8, 5), ["mul", "reshape"]),
        (lambda x: (x.view(2, 40) * torch.arange(40.0)).view(2, 8, 5), ["reshape", "mul", "reshape"]),
        (lambda x: x[:, ::2][:, :, 1::2], ["slice_by_index"]),
        (lambda x: x[:, 1:][:, 1:], ["slice_by_index"] * 2),
        (lambda x: torch.cat([-x[..., 4:], x[..., :4]], -1), ["split", "mul", "concat"]),
        (
            lambda x: torch.cat([-x[..., 3:], x[..., :4]], -1),
            ["slice_by_index", "mul", "slice_by_index", "concat"],
        ),
        (
            lambda x: torch.stack([p.permute(2, 0, 1) for p in x.split(4, -1)]),
            ["transpose", "split", "stack"],
        ),
        (
            lambda x: torch.stack([p.transpose(1, 2) for p in x.split(4, 2)], 1),
            ["transpose", "split", "stack"],
        ),
        (lambda x: x.roll((1, -2), (1, 2)), ["split", "concat"] * 2),
    ],
)
def test_operations_that_are_not_needed_go(function: Callable[[Tensor], Tensor], expected: list[str]) -> None:
    assert operations(simplified(function, (ROWS,))) == expected


def test_equal_constants_are_stored_once() -> None:
    class Twins(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(8, 8), nn.Linear(8, 8)
            self.b.load_state_dict(self.a.state_dict())

        def forward(self, x: Tensor) -> Tensor:
            return self.b(self.a(x).relu())

    program = simplified(Twins(), (ROWS,))
    constants = [node for node in program.functions["main"].block.operations if isinstance(node, Constant)]
    assert len([constant for constant in constants if constant.data.shape == (8, 8)]) == 1


def test_weights_keep_their_names() -> None:
    model = seeded(nn.Sequential(nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6), nn.Flatten(), nn.Linear(96, 2)))
    program = simplified(model, (IMAGE,))
    names = {
        node.output.name for node in program.functions["main"].block.operations if isinstance(node, Constant)
    }
    assert {"_0_weight", "_0_bias", "_3_weight", "_3_bias"} <= names


def test_open_sizes_survive() -> None:
    length = torch.export.Dim("length", min=2, max=64)
    model = nn.MultiheadAttention(8, 2, batch_first=True)
    program = lower(
        captured(model, (ROWS,) * 3, dynamic_shapes=({1: length},) * 3 + (None,) * 6), Opset.CoreML7
    )
    simplify(program.functions["main"])
    x = torch.randn(2, 11, 8)
    for ours, theirs in zip(results_of(program, (x,) * 3), expected_of(model, (x,) * 3), strict=True):
        assert_close(ours, theirs)
    assert np.shape(results_of(program, (x,) * 3)[0]) == (2, 11, 8)
