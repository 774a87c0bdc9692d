"""Times of several ways to do the same, in one process."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any

import torch

_ROUNDS = 9


def medians(work: Mapping[str, Callable[[], Any]]) -> dict[str, float]:
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
