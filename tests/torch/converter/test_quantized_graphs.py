"""Graphs that torch's own quantization made: integers stay integers, and are those that torch had."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.ao.nn.intrinsic.qat import ConvBn2d, LinearBn1d
from torch.ao.quantization import (
    DeQuantStub,
    QuantStub,
    convert,
    default_fake_quant,
    default_per_channel_weight_fake_quant,
    disable_observer,
    get_default_qat_qconfig,
    get_default_qconfig,
    prepare,
)

import mlpress
from mlpress import MLModel
from mlpress.encoding import Affine, decode, describe
from mlpress.errors import MlpressError
from mlpress.mil import Constant
from tests.torch.converter.quantized_graphs import INTEGERS, Decomposed, Faked
from tests.torch.converter.running import Calls, operations

X = (1, 4, 8, 8)
QAT = get_default_qat_qconfig("x86")
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


def in_training(kind: str) -> tuple[nn.Module, Tensor]:
    """A convolution and a linear layer, each before a batch norm, while their weights are trained to be int8.

    This is what `torch.ao` makes of them: rounded are weights times the factors of the normalization.
    """
    layers: dict[str, Any] = {
        "conv": lambda: (ConvBn2d(4, 8, 3, bias=True, qconfig=QAT), torch.randn(2, 4, 8, 8)),
        "transposed": lambda: (Transposed(), torch.randn(2, 4, 8, 8)),
        "linear": lambda: (LinearBn1d(4, 8, qconfig=QAT), torch.randn(5, 4)),
    }
    net, x = layers[kind]()
    with torch.no_grad():
        if kind == "linear":
            net.bias.uniform_()  # torch.ao leaves whatever the memory held
        for _ in range(3):
            net(torch.randn_like(x) * 2 + 1)
        net.bn.weight.copy_(torch.linspace(-1, 1, 8))
    return net.apply(disable_observer).eval(), x


class Transposed(nn.Module):
    """The same for a transposed convolution, written out."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.bn = nn.ConvTranspose2d(4, 8, 3), nn.BatchNorm2d(8)
        self.weight_fake_quant = get_default_qat_qconfig("qnnpack").weight()

    def forward(self, x: Tensor) -> Tensor:
        factors = self.bn.weight / torch.sqrt(self.bn.running_var + self.bn.eps)
        weight = self.weight_fake_quant(self.layer.weight * factors.reshape(1, -1, 1, 1))
        made = nn.functional.conv_transpose2d(x, weight) / factors.reshape(1, -1, 1, 1)
        return self.bn(made + self.layer.bias.reshape(1, -1, 1, 1))


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize(
    ("kind", "layer"), [("conv", "conv"), ("transposed", "conv_transpose"), ("linear", "linear")]
)
def test_batch_norm_in_training_is_folded_into_the_integers(kind, layer, route):
    net, x = in_training(kind)
    for target in ("iOS16", "iOS18"):
        model = converted(net, x, target, route)
        assert operations(model.program) == [layer]
        (weight,) = weights(model).values()
        assert describe(weight) == "int8 · 8 scales"
        np.testing.assert_allclose(predicted(model, x), net(x).detach(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("enabled", [False, True])
def test_quantizers_that_also_observe_only_round(enabled, route):
    net = nn.Sequential(QAT.activation(), nn.Linear(8, 4), QAT.activation())
    net(torch.randn(16, 8))
    net.eval().apply(disable_observer)
    for part in (net[0], net[2]):
        part.enable_fake_quant(enabled)
    x = torch.randn(3, 8)
    model = converted(net, x, "iOS18", route)
    assert operations(model.program).count("quantize") == 2 * enabled
    np.testing.assert_allclose(predicted(model, x), net(x).detach(), atol=1e-6)


class Groups(nn.Module):
    """A linear layer with a scale and a zero point for each 4 elements of a row."""

    def __init__(self, zero: int, stored: bool) -> None:
        super().__init__()
        self.linear = nn.Linear(16, 6)
        self.register_buffer("scales", torch.rand(6, 4) * 0.05 + 0.01)
        self.register_buffer("zeros", torch.full((6, 4), zero, dtype=torch.int32))
        self.grid = (-8, 7, torch.int8, 4)
        if stored:
            integers = INTEGERS.quantize_per_channel_group(
                self.linear.weight.detach(), self.scales, self.zeros, *self.grid
            )
            self.register_buffer("integers", integers)

    def forward(self, x: Tensor) -> Tensor:
        parameters = self.scales, self.zeros, *self.grid
        integers = getattr(self, "integers", None)
        if integers is None:
            integers = INTEGERS.quantize_per_channel_group(self.linear.weight, *parameters)
        weight = INTEGERS.dequantize_per_channel_group(integers, *parameters, torch.float32)
        return nn.functional.linear(x, weight, self.linear.bias)


@pytest.mark.parametrize("stored", [False, True])
@pytest.mark.parametrize("zero", [0, 3])
@pytest.mark.parametrize(("target", "linear"), [("iOS17", "float32"), ("iOS18", "int4 · 6x4 scales")])
def test_integers_of_groups(target, linear, zero, stored):
    net, x = Groups(zero, stored).eval(), torch.randn(3, 16)
    model = converted(net, x, target)
    (weight,) = weights(model).values()
    assert describe(weight) == linear + (" · offset" if zero and target == "iOS18" else "")
    np.testing.assert_allclose(predicted(model, x), net(x).detach(), rtol=1e-5, atol=1e-6)


def test_activations_in_groups_are_refused():
    def rounded(x: Tensor) -> Tensor:
        return INTEGERS.quantize_per_channel_group(
            x, torch.ones(3, 2), torch.zeros(3, 2, dtype=torch.int32), -8, 7, torch.int8, 4
        )

    with pytest.raises(MlpressError, match="only weights can be rounded in groups"):
        converted(Calls(rounded).eval(), torch.randn(3, 8), "iOS18")


def test_weights_keep_their_names():
    def names(net: nn.Module, x: Tensor) -> set[str]:
        nodes = converted(net.eval(), x, "iOS18").program.functions["main"].block.operations
        return {node.output.name for node in nodes if isinstance(node, Constant)}

    assert {"conv_weight", "conv_bias", "linear_weight"} <= names(Faked(), torch.randn(X))
    assert {"integers", "bias", "linear"} <= names(Decomposed(), torch.randn(X))
    assert {"weight", "bias"} <= names(*in_training("conv"))


@pytest.mark.parametrize("route", ["module", "trace"])
def test_weights_packed_for_kernels_of_torch_are_refused_with_what_to_do(route):
    net = nn.Sequential(QuantStub(), nn.Conv2d(4, 8, 3), DeQuantStub()).eval()
    net.qconfig = get_default_qconfig("x86")
    ready = prepare(net)
    ready(torch.randn(X))
    with pytest.raises(
        MlpressError, match=r"packed the weights of '1' .* before torch.ao.quantization.convert"
    ):
        converted(convert(ready), torch.randn(X), "iOS18", route)
