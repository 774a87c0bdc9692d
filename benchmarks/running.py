"""Networks from files, as each side of the latency benchmark runs them.

``python -m benchmarks.running SIDE NETWORK TINY`` runs TINY, which loads all code, prints ``ready``, waits
for a line, loads NETWORK, runs it a few times and prints its times as JSON: the parent watches its memory.
"""

from __future__ import annotations

import json
import os
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn

import mlpress
from mlpress.runtime import Runner, RunOptions
from tests.zoo.torchvision_operators import provide_operators

Run = Callable[[], Any]

_TIMES = 3


def write(network: nn.Module, example: Tensor, path: Path) -> None:
    """Writes a network in the form of each side, and its input, beside each other at `path` with suffixes."""
    np.save(path.with_suffix(".npy"), example.numpy())
    torch.save(network, path.with_suffix(".pt"))
    model = mlpress.convert(network, inputs=[example], compute_precision=mlpress.precision.FLOAT32)
    model.save(path.with_suffix(".mlpackage"))
    graph = str(path.with_suffix(".onnx"))
    torch.onnx.export(network, (example,), graph, input_names=["x"], dynamo=False, verbose=False)


def _torch(path: Path) -> Run:
    network = torch.load(path.with_suffix(".pt"), weights_only=False)
    example = torch.from_numpy(_example(path))
    return lambda: network(example)


def _mlpress(path: Path, compiled: bool) -> Run:
    program = mlpress.MLModel(path.with_suffix(".mlpackage")).program
    runner = Runner(program, "main", RunOptions(compile=compiled))
    (name,) = runner.inputs
    inputs = {name: _example(path)}
    return lambda: runner(inputs)


def _onnxruntime(path: Path) -> Run:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path.with_suffix(".onnx")), options)
    inputs = {"x": _example(path)}
    return lambda: session.run(None, inputs)


def _example(path: Path) -> Any:
    return np.load(path.with_suffix(".npy"))


SIDES: Final[dict[str, Callable[[Path], Run]]] = {
    "torch": _torch,
    "plain": lambda path: _mlpress(path, compiled=False),
    "compiled": lambda path: _mlpress(path, compiled=True),
    "onnxruntime": _onnxruntime,
}
"""What loads a network from what `write` has written, for one thread."""


def main() -> None:
    """Runs what the arguments name."""
    side, network, tiny = sys.argv[1:]
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # standard output belongs to the parent
    warnings.simplefilter("ignore")
    provide_operators()
    with torch.inference_mode():
        SIDES[side](Path(tiny))()
        print("ready", file=answers, flush=True)
        sys.stdin.readline()
        wall, cpu = time.perf_counter(), time.process_time()
        run = SIDES[side](Path(network))
        for _ in range(_TIMES):
            run()
    times = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    print(json.dumps(times), file=answers, flush=True)


if __name__ == "__main__":
    main()
