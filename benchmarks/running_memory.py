"""``python -m benchmarks.running_memory PACKAGE``: prints how many bytes it takes to run a package.

That is all memory, mapped files included, above what the interpreter with all code loaded has.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import torch

from mlpress.models import MLModel
from mlpress.runtime import Runner


def main() -> None:
    """Runs the package twice on zeros."""
    torch.set_num_threads(1)
    assert Runner  # its code is loaded
    torch.nn.functional.linear(torch.zeros(1, 64), torch.zeros(64, 64))
    before = _status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    model = MLModel(sys.argv[1])
    (name, kind), *_ = model.predictor.runner.inputs.items()
    for _ in range(2):
        model.predict({name: np.zeros(kind.shape, np.float32)})
    print(json.dumps(_status("VmHWM") - before))


def _status(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


if __name__ == "__main__":
    main()
