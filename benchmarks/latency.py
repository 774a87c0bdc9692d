"""Rows about running models, plain and compiled, beside torch and onnxruntime: one thread, one process."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import onnxruntime
import torch
from torch import Tensor, nn

import mlpress
from benchmarks import convert_work
from benchmarks.table import Row
from benchmarks.torch_tasks import Sentences
from mlpress.runtime import Runner, RunOptions
from tests.zoo.torchvision_operators import provide_operators

_BATCHES = (1, 16)
_ROUNDS = 9
_TOKENS = 128


class Encoder(nn.Module):
    """MiniLM from tokens to states, every token attended to."""

    def __init__(self) -> None:
        super().__init__()
        self.model = Sentences().network()

    def forward(self, ids: Tensor) -> Tensor:
        mask = torch.ones(ids.shape, dtype=torch.int64)
        states: Tensor = self.model(input_ids=ids, attention_mask=mask, return_dict=False)[0]
        return states


def latency(folder: Path) -> Iterator[Row]:
    """ResNet-50 and MiniLM (128 tokens), batches of 1 and 16, float32."""
    provide_operators()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    for name, network in (("ResNet-50", convert_work.resnet50()[0]), ("MiniLM", Encoder().eval())):
        for batch in _BATCHES:
            yield from _rows(f"{name}, batch {batch}", network, _example(name, batch), folder)


def _example(name: str, batch: int) -> Tensor:
    torch.manual_seed(0)
    return (
        torch.rand(batch, 3, 224, 224)
        if name == "ResNet-50"
        else torch.randint(1000, 30000, (batch, _TOKENS))
    )


def _rows(work: str, network: nn.Module, example: Tensor, folder: Path) -> Iterator[Row]:
    package, graph = folder / "latency.mlpackage", str(folder / "latency.onnx")
    model = mlpress.convert(network, inputs=[example], compute_precision=mlpress.precision.FLOAT32)
    model.save(package)
    torch.onnx.export(network, (example,), graph, input_names=["x"], dynamo=False, verbose=False)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(graph, options)

    start = time.perf_counter()
    program = mlpress.MLModel(package).program
    plain = Runner(program, "main")
    loading = time.perf_counter() - start
    compiled = Runner(program, "main", RunOptions(compile=True))
    (name,) = plain.inputs
    array = example.numpy()
    seconds = medians(
        {
            "torch": lambda: network(example),
            "plain": lambda: plain({name: array}),
            "compiled": lambda: compiled({name: array}),
            "onnxruntime": lambda: session.run(None, {"x": array}),
        }
    )
    ours, torchs = seconds["plain"], seconds["torch"]
    yield Row(
        "latency",
        f"{work}: as it is, over torch",
        milliseconds(ours),
        milliseconds(torchs),
        ours / torchs,
        1.1,
        "at most",
        "",
    )
    ours, theirs = seconds["compiled"], seconds["onnxruntime"]
    yield Row(
        "latency",
        f"{work}: compiled, over onnxruntime",
        milliseconds(ours),
        milliseconds(theirs),
        ours / theirs,
        1.0,
        "at most",
        "",
    )
    if work == "ResNet-50, batch 1":
        yield Row(
            "latency", "load of ResNet-50, seconds", f"{loading:.2f} s", "", loading, 0.3, "at most", ""
        )


def medians(work: dict[str, Callable[[], Any]]) -> dict[str, float]:
    """Returns medians of processor time in seconds, which other programs disturb least; rounds take turns."""
    taken: dict[str, list[float]] = {name: [] for name in work}
    with torch.inference_mode():
        for call in work.values():
            call()
            call()
        for _ in range(_ROUNDS):
            for name, call in work.items():
                start = time.process_time()
                call()
                taken[name].append(time.process_time() - start)
    return {name: median(times) for name, times in taken.items()}


def milliseconds(seconds: float) -> str:
    """Returns a time in words."""
    return f"{1000 * seconds:.1f} ms"
