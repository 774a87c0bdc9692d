"""Elements moved about, uint16 among them: torch has kernels for int16 of the same bits only."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def flip(x: Tensor, axes: Sequence[int]) -> Tensor:
    """Returns x with the order along `axes` turned around."""
    if x.dtype is torch.uint16:
        return x.view(torch.int16).flip(tuple(axes)).view(torch.uint16)
    return x.flip(tuple(axes))


def gather(x: Tensor, axis: int, indices: Tensor) -> Tensor:
    """Returns what `torch.gather` does."""
    if x.dtype is torch.uint16:
        return x.view(torch.int16).gather(axis, indices).view(torch.uint16)
    return x.gather(axis, indices)


def index_select(x: Tensor, axis: int, indices: Tensor) -> Tensor:
    """Returns what `torch.index_select` does."""
    if x.dtype is torch.uint16:
        return x.view(torch.int16).index_select(axis, indices).view(torch.uint16)
    return x.index_select(axis, indices)
