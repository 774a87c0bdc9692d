"""Where resizing takes its samples, and how values between elements are interpolated.

A point of a grid is a position in elements of the source: 0 in the middle of the first, size - 1 of the last.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

SAMPLING_MODES: Final = (
    "ALIGN_CORNERS",
    "DEFAULT",
    "OFFSET_CORNERS",
    "STRICT_ALIGN_CORNERS",
    "UNALIGN_CORNERS",
)


def points(start: Tensor, end: Tensor, count: int, mode: str) -> Tensor:
    """Returns `count` points between `start` and `end`, which are included, along a new last axis.

    With n = count, i = 0 ... n - 1, and d = end - start: ``STRICT_ALIGN_CORNERS`` start + i * d / (n - 1),
    ``ALIGN_CORNERS`` the same but the middle for n = 1, ``DEFAULT`` start + i * (d + 1) / n,
    ``OFFSET_CORNERS`` start + (i + 1/2) * max(1, d) / n,
    ``UNALIGN_CORNERS`` start + (i + 1/2) * (d + 1) / n - 1/2; the last three
    no further than `start` and `end`.
    """
    start, end = start.unsqueeze(-1), end.unsqueeze(-1)
    step = torch.arange(count, dtype=start.dtype, device=start.device)
    if mode in ("ALIGN_CORNERS", "STRICT_ALIGN_CORNERS"):
        if count == 1:
            return start + step if mode == "STRICT_ALIGN_CORNERS" else (start + end) / 2
        share = step / (count - 1)
        return start * (1 - share) + end * share  # meets the end exactly: behind it is padding
    length = end - start
    if mode == "DEFAULT":
        grid = start + step * (length + 1) / count
    elif mode == "OFFSET_CORNERS":
        grid = start + (step + 0.5) * length.clamp(min=1) / count
    else:
        grid = start + (step + 0.5) * (length + 1) / count - 0.5
    return grid.clamp(torch.minimum(start, end), torch.maximum(start, end))


def axis_points(x: Tensor, axis: int, count: int, mode: str) -> Tensor:
    """Returns `count` points along all of an axis of x, in float32."""
    bounds = torch.zeros((), device=x.device), torch.full((), x.shape[axis] - 1.0, device=x.device)
    return points(*bounds, count, mode)


def interpolate_linear(x: Tensor, axis: int, grid: Tensor) -> Tensor:
    """Returns x at the points `grid` (a vector) along `axis`, linear between elements."""
    low = grid.floor()
    shape = [1] * x.dim()
    shape[axis] = -1
    weight = (grid - low).to(x.dtype).reshape(shape)
    first = low.long()
    second = (first + 1).clamp(max=x.shape[axis] - 1)
    return torch.lerp(x.index_select(axis, first), x.index_select(axis, second), weight)
