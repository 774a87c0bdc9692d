"""Work on networks of torch that is timed, in a process of its own: ``python -m benchmarks.torch_work``.

Arguments: a library, the name of the work, and a folder or package to write. Prints ``ready`` once code is
loaded and the network is there, waits for a line, works and prints its times as JSON.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
import warnings
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import nn

from benchmarks.jobs import Library
from tests.zoo.torchvision_operators import provide_operators

Work = Callable[[], object]
DKM_STEPS = 5


def palettize_resnet50(library: Library, _: Path) -> Work:
    """Returns `PostTrainingPalettizer` on ResNet-50, 4 bits."""
    home = import_module(f"{library}.optimize.torch.palettization")
    scopes = {"module_type_configs": {kind: {"n_bits": 4} for kind in (nn.Linear, nn.Conv2d)}}
    config = home.PostTrainingPalettizerConfig.from_dict(scopes)
    home.PostTrainingPalettizer(nn.Sequential(nn.Linear(64, 64)), config).compress()
    network = _resnet50()
    return lambda: home.PostTrainingPalettizer(network, config).compress(inplace=True)


def sensitive_100m(library: Library, folder: Path) -> Work:
    """Returns `SKMPalettizer` on a layer of 100 million weights, 4 bits, with sensitivities from a file."""
    home = import_module(f"{library}.optimize.torch.palettization")
    config = home.SKMPalettizerConfig.from_dict({"global_config": {"n_bits": 4}})
    path = folder / "sensitivities.pt"

    def compress(size: int) -> Work:
        network = nn.Sequential(nn.Linear(size, size, bias=False))
        torch.save({"0.weight": torch.rand(size, size)}, path)
        return lambda: home.SKMPalettizer(network, config).compress(sensitivity_path=str(path), inplace=True)

    compress(64)()
    return compress(10_000)


def differentiable_step(library: Library, nbits: int) -> Work:
    """Returns steps of training with DKM: a linear layer of a million weights."""
    home = import_module(f"{library}.optimize.torch.palettization")
    torch.manual_seed(0)
    config = home.DKMPalettizerConfig.from_dict({"global_config": {"n_bits": nbits, "kmeans_n_init": 1}})
    palettizer = home.DKMPalettizer(nn.Sequential(nn.Linear(1024, 1024)), config)
    network = palettizer.prepare(inplace=True)
    sgd = torch.optim.SGD(network.parameters(), lr=1e-3)
    inputs = torch.randn(8, 1024)

    def steps(count: int) -> None:
        for _ in range(count):
            sgd.zero_grad()
            network(inputs).square().mean().backward()
            sgd.step()
            palettizer.step()

    with torch.no_grad():
        network(inputs)  # finds the first centroids
    return lambda: steps(DKM_STEPS)


def _resnet50() -> nn.Module:
    torch.manual_seed(0)
    models = import_module("torchvision.models")
    network: nn.Module = models.resnet50(weights=None)
    return network.eval()


WORKS: dict[str, Callable[[Library, Path], Work]] = {
    "palettize-resnet50": palettize_resnet50,
    "sensitive-100m": sensitive_100m,
    "dkm-2": lambda library, _: differentiable_step(library, 2),
    "dkm-4": lambda library, _: differentiable_step(library, 4),
}


def main(works: dict[str, Callable[[Library, Path], Work]] = WORKS) -> None:
    """Does the work that the arguments name."""
    library, name, path = sys.argv[1:]
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # libraries report on standard output, which here belongs to the parent
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    provide_operators()
    work: Any = works[name](library, Path(path))  # type: ignore[arg-type]
    print("ready", file=answers, flush=True)
    sys.stdin.readline()
    wall, cpu = time.perf_counter(), _processor_time()
    work()
    times = {"wall": time.perf_counter() - wall, "cpu": _processor_time() - cpu}
    print(json.dumps(times), file=answers, flush=True)


def _processor_time() -> float:
    """Returns seconds of this process and of those that it has started and that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


if __name__ == "__main__":
    main()
