"""Products of 8-bit integers by the operator that torch has for GPUs."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mlpress import RunOptions
from tests.cuda.device import DEVICE
from tests.torch.runtime.test_fast_elsewhere import LAYERS, MODELS, built, network, products
from tests.torch.runtime.test_fast_quantized import Around, quantized


def predicted(made, x, **options):
    made.run_options = RunOptions(device=DEVICE, **options)
    return next(iter(made.predict({"x": x}).values()))


@pytest.mark.parametrize("compile", [False, True])
@pytest.mark.parametrize("how", [{}, {"mode": "linear"}, {"mode": "linear", "dtype": "uint8"}], ids=str)
def test_a_network_agrees_with_exact_arithmetic(how, compile):
    made, x = network(**how), torch.randn(2, 3, 12, 12)
    assert products(built(made, DEVICE)) == 2
    exact = predicted(made, x, kernels="exact")
    assert np.abs(predicted(made, x, compile=compile) - exact).max() < 0.02 * np.abs(exact).max()


@pytest.mark.parametrize("name", LAYERS)
def test_layers(name):
    layer, shape, count = LAYERS[name]
    torch.manual_seed(0)
    x = torch.randn(shape)
    made = quantized(Around(layer), x)
    assert products(built(made, DEVICE)) == count
    assert np.abs(predicted(made, x) - predicted(made, x, kernels="exact")).max() < 1e-5


@pytest.mark.parametrize("name", MODELS)
def test_exact_results_are_those_of_the_cpu(name):
    make, shape = MODELS[name]
    made, x = make(), torch.randn(shape)
    there = predicted(made, x, kernels="exact")
    made.run_options = RunOptions(kernels="exact")
    (expected,) = made.predict({"x": x}).values()
    assert np.abs(there - expected).max() < 0.02 * np.abs(expected).max()
