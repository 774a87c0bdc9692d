"""``python -m benchmarks.cuda``: models on a GPU, plain, compiled and in 8 bits, beside torch.

Inputs come from the host and outputs go back there, as `predict` has it. Torch computes in full float32, as
mlpress does: without that, convolutions round to TF32.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

import mlpress
import mlpress.runtime
from benchmarks.convert_work import bert, resnet50
from benchmarks.table import Row, show
from benchmarks.taking_turns import medians, milliseconds
from mlpress import MLModel, Quantize, RunOptions, Step, compress, quantize_activations
from mlpress.runtime.full_float32 import full_float32
from tests.zoo.torchvision_operators import provide_operators

_DEVICE: Final = "cuda"
_SAMPLES: Final = 4
_INT8: Final = Quantize(dtype="int8")


def networks() -> Iterator[tuple[str, nn.Module, Tensor, dict[str, Any]]]:
    """Yields what is timed, an input of it, and what is not quantized in it."""
    for batch in (1, 32):
        network, example = resnet50()
        yield f"ResNet-50, batch {batch}", network, torch.rand(batch, *example.shape[1:]), {}
    yield "BERT, 128 tokens", *bert(), {"add": None}
    layers = nn.Sequential(nn.Linear(4096, 4096), nn.ReLU(), nn.Linear(4096, 4096))
    yield "two linear layers 4096 x 4096, 512 rows", layers.eval(), torch.rand(512, 4096), {}


def rows(name: str, network: nn.Module, example: Tensor, rules: dict[str, Any]) -> Iterator[Row]:
    """Latencies and errors of a network."""
    model = _converted(network, example)
    samples = ({"x": _like(example, seed)} for seed in range(_SAMPLES))
    coded = quantize_activations(model, samples, Step(Quantize(mode="linear"), rules)).model
    w8a8 = compress(coded, _INT8).model
    on_gpu = network.to(_DEVICE)
    calls: dict[str, Callable[[], Any]] = {
        "torch": lambda: on_gpu(example.to(_DEVICE)).cpu(),
        "plain": _predicting(model, example),
        "compiled": _predicting(model, example, compile=True),
        "W8A8": _predicting(w8a8, example),
        "W8A8, exact": _predicting(w8a8, example, kernels="exact"),
        "W8A8, compiled": _predicting(w8a8, example, compile=True),
    }
    seconds = medians(calls, time.perf_counter)
    for way in list(calls)[1:]:
        words = milliseconds(seconds[way]), milliseconds(seconds["torch"])
        ratio = seconds[way] / seconds["torch"]
        yield Row("on a GPU", f"{name}: {way}, over torch eager", *words, ratio, None)
    expected = calls["torch"]().numpy()
    for way in ("plain", "W8A8"):
        found = calls[way]()
        error = np.linalg.norm(found - expected) / np.linalg.norm(expected)
        yield Row("error on a GPU", f"{name}: {way}", "", "", float(error), None, note=f"{error:.1e}")


def _converted(network: nn.Module, example: Tensor) -> MLModel:
    dtype = np.float32 if example.is_floating_point() else np.int32
    return mlpress.convert(
        network,
        inputs=[mlpress.TensorType("x", tuple(example.shape), dtype=dtype)],
        minimum_deployment_target=mlpress.target.iOS18,
        compute_precision=mlpress.precision.FLOAT32,
    )


def _like(example: Tensor, seed: int) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    if example.is_floating_point():
        return torch.rand(example.shape, generator=random)
    return torch.randint(1000, 30000, example.shape, generator=random)


def _predicting(model: MLModel, example: Tensor, **options: Any) -> Callable[[], Any]:
    """Returns a call like a user's, less the checks of what is handed in."""
    runner = mlpress.runtime.Runner(model.program, "main", RunOptions(device=_DEVICE, **options))
    (output,) = runner.outputs
    array = example.numpy()
    return lambda: runner({"x": array})[output]


def main() -> None:
    """Prints the rows."""
    provide_operators()
    warnings.simplefilter("ignore")
    print(torch.cuda.get_device_name(), "torch", torch.__version__)
    with full_float32(_DEVICE), torch.inference_mode():
        for each in networks():
            show(list(rows(*each)))


if __name__ == "__main__":
    main()
