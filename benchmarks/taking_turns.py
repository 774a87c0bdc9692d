"""Times of several ways to do the same, in one process."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any

import torch

_ROUNDS = 9


def medians(
    work: Mapping[str, Callable[[], Any]], clock: Callable[[], float] = time.process_time
) -> dict[str, float]:
    """Returns medians of seconds by a clock; rounds take turns.

    Processor time is what other programs disturb least.
    """
    taken: dict[str, list[float]] = {name: [] for name in work}
    with torch.inference_mode():
        for call in work.values():
            call()
            call()
        for _ in range(_ROUNDS):
            for name, call in work.items():
                start = clock()
                call()
                taken[name].append(clock() - start)
    return {name: median(times) for name, times in taken.items()}


def milliseconds(seconds: float) -> str:
    """Returns a time in words."""
    return f"{1000 * seconds:.1f} ms"
