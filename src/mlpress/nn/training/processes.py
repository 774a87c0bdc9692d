"""What several processes that train together agree on."""

from __future__ import annotations

from typing import Literal

import torch
from torch import distributed


def over_processes(values: torch.Tensor, how: Literal["min", "max"]) -> torch.Tensor:
    """Returns least or greatest values over all processes; the values themselves where there is only one."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return values
    reduced = values.clone()
    operation = distributed.ReduceOp.MIN if how == "min" else distributed.ReduceOp.MAX
    distributed.all_reduce(reduced, operation)
    return reduced


def process_count() -> int:
    """Returns how many processes train together."""
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1
