"""Fast kernels of other devices: none of the CPU are used there, and those of CUDA multiply right.

What CUDA would compute runs on the CPU here, which has the same operator of torch.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, fx, nn

from mlpress import MLModel, RunOptions
from mlpress.bits import Tensor as Stored
from mlpress.encoding import Dense
from mlpress.runtime.build import build
from mlpress.runtime.fast import choice, integer_product, uses_fast_kernels
from mlpress.runtime.fast.integer_product import IntegerProduct
from mlpress.runtime.fast.integer_weight import IntegerWeight
from tests.torch.runtime.test_fast_linear import ENCODED, K, model
from tests.torch.runtime.test_fast_quantized import INT8 as INT8_WEIGHTS
from tests.torch.runtime.test_fast_quantized import PALETTE, Around, predictions, quantized


class Network(nn.Module):
    """Windows of 3 x 3 and of 1 x 1, one of these with strides, and linear layers of few rows."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.back = nn.Conv2d(3, 16, 3), nn.Conv2d(16, 8, 1, stride=2)
        self.wide, self.head = nn.Linear(8, 16, bias=False), nn.Linear(16, 12)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.back(torch.relu(self.stem(x))))
        return self.head(torch.tanh(self.wide(x.mean((2, 3)))))


def network(**how: Any) -> MLModel:
    torch.manual_seed(0)
    return quantized(Network(), torch.randn(2, 3, 12, 12), **how)


def built(made: MLModel, device: str = "cpu", **options: Any) -> fx.GraphModule:
    return build("main", made.program.functions["main"], RunOptions(device=device, **options))


def products(graph: fx.GraphModule) -> int:
    return sum(isinstance(module, IntegerProduct) for module in graph.modules())


@pytest.fixture
def as_on_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets the CPU, and torch's device without data, be given what CUDA is given."""
    monkeypatch.setattr(choice, "multiplies_exactly", lambda device: True)
    for device in ("cpu", "meta"):
        monkeypatch.setitem(choice._DEVICES, device, choice._DEVICES["cuda"])


MODELS = {
    "W8A8": (network, (2, 3, 12, 12)),
    "4-bit table": (lambda: model(ENCODED["4-bit table"]), (5, K)),
    "int8": (lambda: model(ENCODED["int8 rows"]), (5, K)),
}


@pytest.mark.parametrize("weights", ["decoded", "encoded"])
@pytest.mark.parametrize("name", MODELS)
def test_a_device_without_kernels_gets_none_of_the_cpu(name, weights):
    make, shape = MODELS[name]
    made = make()
    assert uses_fast_kernels(built(made, "cpu", weights=weights))
    graph = built(made, "meta", weights=weights)
    assert not uses_fast_kernels(graph)
    (output,) = graph(torch.empty(shape, device="meta")).values()
    assert output.device.type == "meta"


@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8], ids=str)
@pytest.mark.parametrize(("rows", "zero"), [((1,), 0), ((3, 20), -7), ((), 5)], ids=str)
def test_a_product_is_exact(rows, zero, dtype):
    """Numbers whose products float32 can hold: what comes out is the sum in whole numbers, bit for bit."""
    limits, random = torch.iinfo(dtype), np.random.default_rng(0)
    integers = random.integers(-128, 128, (16, 24)).astype(np.int8)
    weight = IntegerWeight(Dense(Stored.from_numpy(integers)), np.full(16, 0.5, np.float32))
    x = torch.from_numpy(random.integers(limits.min, limits.max + 1, (*rows, 24))).to(dtype)
    bias = torch.arange(16.0)
    result = IntegerProduct(weight, bias, scale=2.0, zero=zero)(x)
    exact = (x.long() - zero) @ torch.from_numpy(integers).long().t() + bias.long()
    assert result.dtype == torch.float32
    assert torch.equal(result, exact.float())


@pytest.mark.parametrize("how", [{}, {"mode": "linear"}, {"mode": "linear", "dtype": "uint8"}], ids=str)
def test_a_network_agrees_with_exact_arithmetic(as_on_cuda, how):
    made = network(**how)
    assert products(built(made)) == 2  # not the window of 3 x 3, nor the 12 features
    fast, exact = predictions(made, torch.randn(2, 3, 12, 12))
    assert np.abs(fast - exact).max() < 0.02 * np.abs(exact).max()


LAYERS = {
    "one axis": (nn.Conv1d(8, 16, 1, stride=2), (2, 8, 9), 1),
    "three axes": (nn.Conv3d(8, 16, 1), (1, 8, 3, 4, 5), 1),
    "linear": (nn.Linear(16, 24), (3, 5, 16), 1),
    "groups": (nn.Conv2d(16, 16, 1, groups=2), (1, 16, 4, 4), 0),
    "zeros around": (nn.Conv2d(8, 16, 1, padding=1), (1, 8, 4, 4), 0),
    "seven features": (nn.Linear(7, 16), (3, 5, 7), 0),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers(as_on_cuda, name):
    layer, shape, count = LAYERS[name]
    torch.manual_seed(0)
    example = torch.randn(shape)
    made = quantized(Around(layer), example)
    assert products(built(made)) == count
    fast, exact = predictions(made, example)
    assert np.abs(fast - exact).max() < 1e-5


def test_all_of_it_goes_to_the_device(as_on_cuda):
    """A tensor that stayed on the CPU would be an error among tensors without data."""
    graph = built(network(), "meta")
    assert products(graph) == 2
    (output,) = graph(torch.empty(2, 3, 12, 12, device="meta")).values()
    assert output.shape == (2, 12)
    assert output.device.type == "meta"


def test_weights_that_are_no_int8_are_decoded(as_on_cuda):
    example = torch.randn(2, 3, 12, 12)
    assert not products(built(quantized(Network(), example, PALETTE)))
    assert not products(built(quantized(Network(), example, INT8_WEIGHTS), weights="encoded"))
    assert not uses_fast_kernels(built(model(ENCODED["4-bit table"])))


PRODUCTS = {
    "refused": lambda x, weight: torch.empty(0) @ weight,
    "wrong": lambda x, weight: x.int() @ weight.int() + 1,
    "right": lambda x, weight: x.int() @ weight.int(),
}


@pytest.mark.parametrize("name", PRODUCTS)
def test_products_of_a_device_are_tried_before_they_are_used(monkeypatch, name):
    integer_product.multiplies_exactly.cache_clear()
    monkeypatch.setitem(choice._DEVICES, "cpu", choice._DEVICES["cuda"])
    monkeypatch.setattr(torch, "_int_mm", PRODUCTS[name])
    assert uses_fast_kernels(built(network())) == (name == "right")
    integer_product.multiplies_exactly.cache_clear()
