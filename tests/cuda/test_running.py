"""Programs predict on the GPU what they predict on the CPU, in every mode."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import mlpress
from mlpress import MLModel, RunOptions, quantize_activations, verify
from mlpress.mil import Program
from mlpress.runtime import Float16RangeWarning, Runner
from tests.cuda.device import DEVICE
from tests.torch.models.packages import counting_model
from tests.torch.runtime.test_compiled import residual_network
from tests.torch.runtime.test_control_flow import accumulator, cond_program, while_program
from tests.torch.runtime.test_fast_linear import ENCODED, K, model
from tests.torch.runtime.test_module import linear_program
from tests.torch.runtime.test_precision import square_then_scale

IMAGE = {"x": np.random.default_rng(0).normal(size=(1, 3, 32, 32)).astype(np.float32)}


def outputs(built: Program, inputs: dict[str, Any], device: str, **options: Any) -> dict[str, Any]:
    return Runner(built, "main", RunOptions(device=device, **options))(inputs)


@pytest.mark.parametrize(
    ("make", "inputs"),
    [
        (cond_program, {"x": np.array([1.0, -3.0]), "flag": np.array([1])}),
        (cond_program, {"x": np.array([1.0, -3.0]), "flag": np.array([0])}),
        (while_program, {"x": np.array([1.0, 2.0]), "n": np.array([5])}),
    ],
)
def test_control_flow(make: Any, inputs: dict[str, Any]) -> None:
    expected, found = (outputs(make(), inputs, device) for device in ("cpu", DEVICE))
    assert {name: value.tolist() for name, value in found.items()} == {
        name: value.tolist() for name, value in expected.items()
    }


def test_states_live_on_the_device() -> None:
    run = Runner(accumulator(), "main", RunOptions(device=DEVICE))
    state, x = run.make_state(), {"x": np.array([1.0, 2.0])}
    assert [run(x, state)["now"].tolist() for _ in range(2)] == [[1, 2], [2, 4]]
    state.write("total", np.array([10.0, 20.0]))
    assert run(x, state)["now"].tolist() == [11, 22]
    assert state.read("total").tolist() == [11, 22]


@pytest.mark.parametrize("compile", [False, True])
def test_convolutions_compute_in_full_float32(compile: bool) -> None:
    """Torch alone rounds what they multiply to TF32, which is an error of about 1e-3."""
    built = residual_network()
    before = torch.backends.cudnn.conv.fp32_precision
    expected = outputs(built, IMAGE, "cpu")["pooled"]
    found = outputs(built, IMAGE, DEVICE, compile=compile)["pooled"]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    assert torch.backends.cudnn.conv.fp32_precision == before


def test_inner_values_are_those_of_the_cpu() -> None:
    on_cpu, there = (
        {
            tap.name: tap.tensor
            for tap in Runner(residual_network(), "main", RunOptions(device=device)).values(IMAGE)
        }
        for device in ("cpu", DEVICE)
    )
    assert on_cpu.keys() == there.keys()
    for name, value in on_cpu.items():
        assert there[name].device.type == DEVICE
        torch.testing.assert_close(there[name].cpu(), value, rtol=1e-4, atol=1e-4)


def test_faithful_float16_names_what_leaves_the_range() -> None:
    with pytest.warns(Float16RangeWarning, match="square 'squared' has a result of 90000, outside"):
        found = outputs(square_then_scale(), {"x": np.array([300.0, 1.0])}, DEVICE, precision="float16")
    np.testing.assert_array_equal(found["scaled"], [np.inf, 0.25])


def test_a_module_goes_there_trains_there_and_is_compiled_there() -> None:
    module = Runner(linear_program(), "main").module
    x = torch.randn(5, 3)
    expected = module(x)["out"].detach()
    module = module.to(DEVICE)
    x = x.to(DEVICE)
    torch.testing.assert_close(module(x)["out"].cpu(), expected)
    torch.testing.assert_close(torch.compile(module, fullgraph=True)(x)["out"].cpu(), expected)
    module(x)["out"].sum().backward()
    assert module.dense_weight.grad.device.type == DEVICE


@pytest.mark.parametrize("weights", ["decoded", "encoded"])
@pytest.mark.parametrize("name", ENCODED)
def test_compressed_weights(name: str, weights: str) -> None:
    """No kernel of the CPU is used there: results are those of decoded weights."""
    made, x = model(ENCODED[name]), {"x": torch.randn(5, K)}
    made.run_options = RunOptions(kernels="exact")
    (expected,) = made.predict(x).values()
    made.run_options = RunOptions(device=DEVICE, weights=weights)
    (found,) = made.predict(x).values()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_a_model_with_states() -> None:
    made = counting_model(3)
    made.run_options = RunOptions(device=DEVICE)
    state, x = made.make_state(), {"x": np.ones(3)}
    assert [made.predict(x, state)["y"].tolist() for _ in range(2)] == [[3], [6]]


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.head = nn.Conv2d(3, 16, 3, stride=2), nn.Linear(16, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.relu(self.stem(x)).mean((2, 3)))


def converted() -> MLModel:
    torch.manual_seed(0)
    return mlpress.convert(
        Network().eval(),
        inputs=[mlpress.TensorType("x", (2, 3, 20, 20))],
        compute_precision=mlpress.precision.FLOAT32,
        minimum_deployment_target=mlpress.target.iOS17,
    )


def test_calibration_runs_there_and_sees_the_same_ranges() -> None:
    samples = [{"x": np.random.default_rng(seed).normal(size=(2, 3, 20, 20))} for seed in range(3)]
    expected = quantize_activations(converted(), samples).model
    there = converted()
    there.run_options = RunOptions(device=DEVICE)
    found = quantize_activations(there, samples).model
    assert verify(expected, found, samples=samples).min_snr > 40
    assert found.run_options.device == DEVICE


def test_modules_of_torch_there_are_compared_with_packages() -> None:
    torch.manual_seed(0)
    network = Network().eval().to(DEVICE)
    x = np.random.default_rng(0).normal(size=(2, 3, 20, 20)).astype(np.float32)
    assert verify(network, converted(), samples=[{"x": x}]).min_snr > 40
