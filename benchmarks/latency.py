"""Rows about running models, plain and compiled, beside torch and onnxruntime: one thread each."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import torch
from torch import Tensor, nn

from benchmarks import convert_work
from benchmarks.measure import run_child
from benchmarks.running import SIDES, write
from benchmarks.table import Row
from benchmarks.taking_turns import medians, milliseconds
from benchmarks.torch_tasks import Sentences
from tests.zoo.torchvision_operators import provide_operators

_BATCHES = (1, 16)
_TOKENS = 128
_LOADS = 5


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
    path, tiny = folder / "latency", folder / "latency-tiny"
    write(nn.Sequential(nn.Linear(8, 8), nn.ReLU()).eval(), torch.rand(1, 8), tiny)
    for name, network in (("ResNet-50", convert_work.resnet50()[0]), ("MiniLM", Encoder().eval())):
        for batch in _BATCHES:
            write(network, _example(name, batch), path)
            yield from _times(f"{name}, batch {batch}", path)
            yield from _memory(f"{name}, batch {batch}", path, tiny)


def _example(name: str, batch: int) -> Tensor:
    torch.manual_seed(0)
    return (
        torch.rand(batch, 3, 224, 224)
        if name == "ResNet-50"
        else torch.randint(1000, 30000, (batch, _TOKENS))
    )


def _times(work: str, path: Path) -> Iterator[Row]:
    seconds = medians({side: load(path) for side, load in SIDES.items()})
    for ours, peer, target in (("plain", "torch", 1.1), ("compiled", "onnxruntime", 1.0)):
        words = [milliseconds(seconds[side]) for side in (ours, peer)]
        ratio = seconds[ours] / seconds[peer]
        yield Row("latency", f"{work}: {ours}, over {peer}", *words, ratio, target)
    if work == "ResNet-50, batch 1":
        ours, peer = (_loading(side, path) for side in ("plain", "onnxruntime"))
        words = [milliseconds(each) for each in (ours, peer)]
        yield Row("latency", "load of ResNet-50, seconds, beside onnxruntime's", *words, ours, 0.3)


def _loading(side: str, path: Path) -> float:
    """Returns the median seconds, by the clock, until a network is ready to run."""
    taken = []
    for _ in range(_LOADS):
        start = time.perf_counter()
        SIDES[side](path)
        taken.append(time.perf_counter() - start)
    return median(taken)


def _memory(work: str, path: Path, tiny: Path) -> Iterator[Row]:
    """Loads and runs a network in a process for each side."""
    most = {
        side: run_child("benchmarks.running", (side, str(path), str(tiny)), f"{work} with {side}").memory
        for side in SIDES
    }
    for ours, peer in (("plain", "torch"), ("compiled", "onnxruntime")):
        mine, theirs = most[ours], most[peer]
        if mine is not None and theirs is not None:
            words = [f"{1e-6 * nbytes:.0f} MB" for nbytes in (mine, theirs)]
            topic = "running: most private memory above that of a tiny network; share of the peer's"
            yield Row(topic, f"{work}: {ours}, over {peer}", *words, mine / theirs, None)
