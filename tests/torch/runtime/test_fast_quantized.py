"""Quantized layers computed in whole numbers: which are, and that they give what float32 arithmetic gives."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import mlpress
from mlpress import MLModel, Palettize, Prune, Quantize, Recipe, RunOptions, compress, quantize_activations
from mlpress.kernels import code_conv
from mlpress.runtime.build import build
from mlpress.runtime.fast import codes, layers, onednn


class Block(nn.Module):
    """A residual block with a pool before it and a linear layer after it."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.wide = nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.Conv2d(8, 8, 3, padding=1)
        self.back, self.head = nn.Conv2d(8, 8, 1), nn.Linear(8, 12)

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.max_pool2d(torch.relu(self.stem(x)), 3, 2, 1)
        x = torch.relu(self.back(torch.relu(self.wide(x))) + x)
        return self.head(x.mean((2, 3)))


class Around(nn.Module):
    """`layer` with something before it and after it that lets its input and its output be quantized."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        y = self.layer(x)
        return torch.softmax(y + y, -1)


INT8 = Quantize(dtype="int8", weight_threshold=0)
PALETTE = Palettize(nbits=4, weight_threshold=0)
PRUNE = Prune(sparsity=0.5, weight_threshold=0)
RECIPES = {
    "int8": INT8,
    "int8 per tensor": INT8.model_copy(update={"granularity": "per_tensor"}),
    "int4": INT8.model_copy(update={"dtype": "int4"}),
    "int8 tables": PALETTE.model_copy(update={"group_size": 4}) >> INT8,
    "pruned int8": PRUNE >> INT8,
    "pruned int8 tables": PRUNE >> PALETTE >> INT8,
}


def quantized(net: nn.Module, example: Tensor, recipe: Recipe | Any = None, **how: Any) -> MLModel:
    """Returns `net` with 8-bit activations, calibrated on `example`, and weights by `recipe` (int8)."""
    model = mlpress.convert(
        net.eval(),
        inputs=[mlpress.TensorType("x", tuple(example.shape))],
        minimum_deployment_target=mlpress.target.iOS18,
        compute_precision=mlpress.precision.FLOAT32,
    )
    with_activations = quantize_activations(model, [{"x": example}], Quantize(**how)).model
    return compress(with_activations, recipe or INT8).model


def kernels(model: MLModel, **options: Any) -> Counter[str]:
    """Counts the modules and functions of fast kernels that a prediction uses."""
    graph = build("main", model.program.functions["main"], RunOptions(**options))
    found = Counter(type(module).__name__ for module in graph.modules() if isinstance(module, layers.Layer))
    named = {codes.add: "add", codes.look_up: "look_up", codes.max_pool: "max_pool"}
    return found + Counter(named[node.target] for node in graph.graph.nodes if node.target in named)


def predictions(model: MLModel, x: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Returns what the model predicts with fast and with exact kernels."""
    results = []
    for choice in ("fast", "exact"):
        model.run_options = RunOptions(kernels=choice)
        results.append(next(iter(model.predict({"x": x}).values())))
    return results[0], results[1]


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("how", [{}, {"mode": "linear"}, {"mode": "linear", "dtype": "uint8"}], ids=str)
@pytest.mark.parametrize("name", RECIPES)
def test_a_residual_network_stays_in_codes(name, how):
    example = torch.randn(2, 3, 20, 20)
    model = quantized(Block(), example, RECIPES[name], **how)
    if code_conv.is_fast():
        expected = {"CodeConv": 3, "CodeLinear": 1}  # the last convolution adds
    else:
        expected = {"add": 1, **({"QuantizedConv": 3, "QuantizedLinear": 1} if onednn.is_available() else {})}
    assert kernels(model) == {"max_pool": 1, **expected}
    fast, exact = predictions(model, example)
    # A sum that lies between two codes may be rounded to either.
    assert np.abs(fast - exact).max() < 0.02 * np.abs(exact).max()


LAYERS = {
    "strides and dilation": (nn.Conv2d(4, 6, 3, stride=(2, 1), dilation=2, padding=(1, 3)), (1, 4, 9, 11)),
    "groups": (nn.Conv2d(4, 6, 3, groups=2, bias=False), (1, 4, 9, 9)),
    "depthwise": (nn.Conv2d(8, 8, 3, groups=8, padding=1), (1, 8, 9, 9)),
    "two for each one": (nn.Conv2d(4, 8, 2, groups=4, padding=2), (2, 4, 8, 8)),
    "a gray image": (nn.Conv2d(1, 8, 2, stride=3, padding=2), (2, 1, 11, 11)),
    "a column of gray images": (nn.Conv2d(1, 4, (2, 4), stride=(1, 3)), (3, 1, 7, 6)),
    "a volume of one": (nn.Conv3d(1, 1, 5, padding=2), (2, 1, 1, 1, 1)),
    "more before than after": (nn.Sequential(nn.ZeroPad2d((2, 1, 0, 1)), nn.Conv2d(4, 6, 3)), (1, 4, 8, 8)),
    "as large as before": (nn.Conv2d(4, 6, 4, padding="same"), (1, 4, 8, 8)),
    "one axis": (nn.Conv1d(4, 6, 3, padding=1, stride=2), (2, 4, 9)),
    "three axes": (nn.Conv3d(4, 6, 3, padding=1), (1, 4, 5, 6, 7)),
    "relu": (nn.Sequential(nn.Conv2d(4, 6, 3), nn.ReLU()), (1, 4, 8, 8)),
    "relu6": (nn.Sequential(nn.Conv2d(4, 6, 3), nn.ReLU6()), (1, 4, 8, 8)),
    "relu over three axes": (nn.Sequential(nn.Conv3d(4, 6, 3), nn.ReLU()), (1, 4, 5, 6, 7)),
    "gelu of an image": (nn.Sequential(nn.Conv2d(4, 6, 3), nn.GELU()), (1, 4, 8, 8)),
    "gelu": (nn.Sequential(nn.Linear(16, 12), nn.GELU()), (3, 5, 16)),
    "gelu by tanh": (nn.Sequential(nn.Linear(16, 12), nn.GELU("tanh")), (3, 5, 16)),
    "tanh": (nn.Sequential(nn.Linear(16, 12), nn.Tanh()), (3, 5, 16)),
    "one row": (nn.Linear(16, 12, bias=False), (16,)),
}


@pytest.mark.parametrize("own", [True, False], ids=["own kernels", "oneDNN"])
@pytest.mark.parametrize("how", [{}, {"mode": "linear"}], ids=str)
@pytest.mark.parametrize("name", LAYERS)
def test_layers(name, how, own, monkeypatch):
    if not own:
        monkeypatch.setattr(code_conv, "is_fast", lambda: False)
    layer, shape = LAYERS[name]
    example = torch.randn(shape)
    model = quantized(Around(layer), example, **how)
    if onednn.is_available():
        assert sum(kernels(model).values()) >= 1
    fast, exact = predictions(model, example)
    assert np.abs(fast - exact).max() < 0.02 * exact.max()
    assert fast.shape == exact.shape


@pytest.mark.parametrize("name", LAYERS)
def test_what_compiled_graphs_are_told_of_results(name):
    layer, shape = LAYERS[name]
    example = torch.randn(shape)
    graph = build("main", quantized(Around(layer), example).program.functions["main"], RunOptions())
    for module in graph.modules():
        if isinstance(module, layers.Layer):
            codes_of_x = torch.randint(0, 256, shape, dtype=torch.uint8)
            told, result = module.like(codes_of_x), module.run(codes_of_x)
            assert (told.shape, told.dtype, told.stride()) == (result.shape, result.dtype, result.stride())


@pytest.mark.parametrize("shape", [(1, 3, 20, 20), (3, 3, 9, 9)], ids=str)
def test_threads_share_an_image_and_several(shape, monkeypatch):
    example = torch.randn(shape)
    model = quantized(Block(), example)
    alone, _ = predictions(model, example)
    monkeypatch.setattr("mlpress.runtime.fast.code_conv._LEAST_SHARE", 1)
    threads = torch.get_num_threads()
    torch.set_num_threads(4)
    try:
        together, _ = predictions(model, example)
    finally:
        torch.set_num_threads(threads)
    np.testing.assert_array_equal(together, alone)


@pytest.mark.parametrize("function", [nn.GELU(), nn.SiLU(), nn.Hardsigmoid()], ids=str)
def test_functions_between_codes_are_tables(function):
    example = torch.randn(2, 8, 12)
    model = quantized(nn.Sequential(nn.Linear(12, 12), function, nn.Linear(12, 12)), example)
    assert kernels(model)["look_up"] == 1
    fast, exact = predictions(model, example)
    assert np.abs(fast - exact).max() < 0.02 * np.abs(exact).max()


class Gated(nn.Module):
    """A sum with a mean of itself, which is smaller, and a ReLU."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return self.conv(torch.relu(x + x.mean((2, 3), keepdim=True))[:, :3])


@pytest.mark.parametrize("how", [{}, {"mode": "linear"}, {"dtype": "uint8"}], ids=str)
def test_sums_of_different_shapes(how):
    example = torch.randn(2, 3, 9, 9)
    model = quantized(Gated(), example, **how)
    assert kernels(model)["add"] == 1
    fast, exact = predictions(model, example)
    assert np.abs(fast - exact).max() < 0.02 * np.abs(exact).max()


def test_another_shape_is_packed_for_anew():
    model = mlpress.convert(
        nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3)).eval(),
        inputs=[mlpress.TensorType("x", (1, 3, mlpress.RangeDim(8, 32, 8), 8))],
        minimum_deployment_target=mlpress.target.iOS18,
        compute_precision=mlpress.precision.FLOAT32,
    )
    examples = [torch.randn(1, 3, size, 8) for size in (8, 20, 8)]
    model = quantize_activations(model, [{"x": example} for example in examples]).model
    model = compress(model, INT8).model
    for example in examples:
        fast, exact = predictions(model, example)
        assert np.abs(fast - exact).max() < 0.02 * np.abs(exact).max()


@pytest.mark.parametrize(
    "options",
    [{"kernels": "exact"}, {"precision": "float16"}, {"kernels": "exact", "compile": True}],
    ids=str,
)
def test_where_arithmetic_stays_as_written(options):
    model = quantized(Block(), torch.randn(1, 3, 20, 20))
    assert not kernels(model, **options)


def test_encoded_weights_are_not_unpacked():
    model = quantized(Block(), torch.randn(1, 3, 20, 20))
    assert kernels(model, weights="encoded") == {"add": 1, "max_pool": 1}


def test_weights_of_other_kinds_are_multiplied_in_float32():
    example = torch.randn(1, 3, 20, 20)
    for recipe in (PALETTE, INT8.model_copy(update={"dtype": "uint8", "mode": "linear"})):
        model = quantized(Block(), example, recipe)
        assert kernels(model) == {"add": 1, "max_pool": 1}
        fast, exact = predictions(model, example)
        assert np.abs(fast - exact).max() < 0.02 * np.abs(exact).max()


def test_the_module_of_a_model_is_exact():
    model = quantized(Block(), torch.randn(1, 3, 20, 20))
    assert not any(isinstance(module, layers.Layer) for module in model.to_torch().modules())
    assert {"stem_weight", "head_weight"} <= set(dict(model.to_torch().named_parameters()))
