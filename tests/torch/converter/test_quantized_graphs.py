"""Graphs that torch's own quantization made: integers stay integers, and are those that torch had."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.ao.quantization import default_fake_quant, default_per_channel_weight_fake_quant

import mlpress
from mlpress import MLModel
from mlpress.encoding import Affine, decode, describe
from mlpress.mil import Constant
from tests.torch.converter.quantized_graphs import INTEGERS, Decomposed, Faked
from tests.torch.converter.running import operations

X = (1, 4, 8, 8)
ROUTES: dict[str, Callable[[nn.Module, Tensor], Any]] = {
    "module": lambda net, x: net,
    "trace": torch.jit.trace,
    "export": lambda net, x: torch.export.export(net, (x,)),
}


def converted(net: nn.Module, x: Tensor, target: str, route: str = "module") -> MLModel:
    model = ROUTES[route](net, x)
    inputs = None if route == "export" else [mlpress.TensorType("x", tuple(x.shape))]
    return mlpress.convert(
        model,
        inputs=inputs,
        minimum_deployment_target=getattr(mlpress.target, target),
        compute_precision=mlpress.precision.FLOAT32,
    )


def predicted(model: MLModel, x: Tensor) -> np.ndarray:
    (name,) = model.input_description
    (result,) = model.predict({name: x}).values()
    return result


def weights(model: MLModel) -> dict[tuple[int, ...], Any]:
    """Returns the encodings of matrices and kernels by shape."""
    nodes = model.program.functions["main"].block.operations
    constants = [node.data for node in nodes if isinstance(node, Constant)]
    return {data.shape: data for data in constants if len(getattr(data, "shape", ())) > 1}


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize(
    ("target", "linear"), [("iOS15", None), ("iOS16", "int8"), ("iOS17", "int8"), ("iOS18", "int4")]
)
@pytest.mark.parametrize("make", [Decomposed, Faked])
def test_every_route_and_target(make, target, linear, route):
    net, x = make().eval(), torch.randn(X)
    model = converted(net, x, target, route)
    np.testing.assert_allclose(predicted(model, x), net(x).detach(), atol=1e-6)
    conv, matrix = weights(model)[8, 4, 3, 3], weights(model)[5, 8]
    if linear is None:
        assert describe(conv) == describe(matrix) == "float32"
    else:
        assert describe(conv) == "int8 · 8 scales"
        assert describe(matrix) == f"{linear} · 1 scale"
    pairs = operations(model.program).count("quantize")
    assert pairs == operations(model.program).count("dequantize")
    assert (pairs > 0) == (target in ("iOS17", "iOS18"))


@pytest.mark.parametrize("zero", [0, 7])
def test_integers_and_scales_are_those_of_the_graph(zero):
    net = Decomposed(zero).eval()
    weight = weights(converted(net, torch.randn(X), "iOS18"))[8, 4, 3, 3]
    assert isinstance(weight, Affine)
    np.testing.assert_array_equal(decode(weight.data), net.integers)
    np.testing.assert_array_equal(decode(weight.scale).reshape(-1), net.scales)
    assert (weight.offset is None) == (zero == 0)
    if weight.offset is not None:
        np.testing.assert_array_equal(decode(weight.offset).reshape(-1), net.zeros)


def test_in_float16_the_integers_stay():
    net, x = Decomposed().eval(), torch.randn(X)
    model = mlpress.convert(
        net, inputs=[mlpress.TensorType("x", X)], minimum_deployment_target=mlpress.target.iOS18
    )
    np.testing.assert_array_equal(decode(weights(model)[8, 4, 3, 3].data), net.integers)
    np.testing.assert_allclose(predicted(model, x), net(x).detach(), atol=0.02)


class Quantizers(nn.Module):
    """A layer with the fake quantizers of `torch.ao`, for 128 integers and for int8."""

    def __init__(self) -> None:
        super().__init__()
        self.around, self.weight = default_fake_quant(), default_per_channel_weight_fake_quant()
        self.layer = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.linear(self.around(x), self.weight(self.layer.weight), self.layer.bias)


@pytest.mark.parametrize("observing", [False, True])
@pytest.mark.parametrize("enabled", [False, True])
def test_modules_of_fake_quantization(enabled, observing):
    net, x = Quantizers(), torch.randn(3, 8)
    net(torch.randn(16, 8))
    net.eval()
    for part in (net.around, net.weight):
        part.enable_observer(observing)
        part.enable_fake_quant(enabled)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    model = converted(net, x, "iOS18")
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert "forward" not in vars(net.around)
    assert operations(model.program) == (["clip", "quantize", "dequantize"] if enabled else []) + ["linear"]
    assert describe(weights(model)[4, 8]) == ("int8 · 4 scales" if enabled else "float32")
    for part in (net.around, net.weight):
        part.disable_observer()
    np.testing.assert_allclose(predicted(model, x), net(x).detach(), atol=1e-6)


class Channels(nn.Module):
    """Activations with a scale for each channel, and of 16 bits."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("scales", torch.rand(4) * 0.02 + 0.01)
        self.register_buffer("zeros", torch.tensor([0, 3, -5, 100]))

    def forward(self, x: Tensor) -> Tensor:
        by_channel = (self.scales, self.zeros, 1, -128, 127, torch.int8)
        x = INTEGERS.dequantize_per_channel(INTEGERS.quantize_per_channel(x, *by_channel), *by_channel)
        wide = (0.001, 0, -32768, 32767, torch.int16)
        return INTEGERS.dequantize_per_tensor(INTEGERS.quantize_per_tensor(x, *wide), *wide)


@pytest.mark.parametrize("target", ["iOS16", "iOS18"])
def test_scales_of_channels_and_other_widths(target):
    net, x = Channels().eval(), torch.randn(X)
    model = converted(net, x, target)
    np.testing.assert_allclose(predicted(model, x), net(x), atol=1e-6)
    assert operations(model.program).count("quantize") == (1 if target == "iOS18" else 0)
