"""Work that threads of this process share."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import torch


def share(work: Callable[[int, int], None], size: int, worth: int) -> None:
    """Does ``work(first, last)`` for parts that together are 0 to `size`, by as many threads as torch uses.

    Args:
        work: Lets other threads run meanwhile.
        size: How much there is to do.
        worth: How many threads that is worth.
    """
    count = min(torch.get_num_threads(), max(1, worth))
    if count == 1:
        return work(0, size)
    ends = [size * part // count for part in range(count + 1)]
    for _ in _threads().map(work, ends[:-1], ends[1:]):
        pass
    return None


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(thread_name_prefix="mlpress")
