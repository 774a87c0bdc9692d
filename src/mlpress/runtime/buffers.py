"""Memory for large tensors that malloc would clear too often, or keep too long.

What malloc gets from the system for a large block it gives back when the block is freed, so that each run of
a network would have the same memory cleared again, which can take longer than to fill it. After a few of
them, it takes such blocks from memory that it keeps instead, and small ones come to lie in their gaps: one
large tensor after another would take the memory of many.
"""

from __future__ import annotations

import mmap
import weakref
from collections import deque
from collections.abc import Sequence
from math import prod
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

LARGE: Final = 1 << 23
"""Elements of float32 from which a block is large: malloc keeps smaller ones for itself."""

_APART: Final = 1 << 20
"""Bytes from which it is worth the while to ask the system."""

_HUGE_PAGE: Final = 1 << 21
"""Bytes of the large pages of x86-64 and arm64, of which a processor remembers the places of more memory."""

_KEPT: Final = 4

_spare: deque[npt.NDArray[Any]] = deque(maxlen=_KEPT)


def empty_image(n: int, channels: int, height: int, width: int) -> Tensor:
    """Returns a float32 image of this shape with channels last in memory, its elements undefined.

    Of the memory of large images that are gone, that of the last few is kept.
    """
    shape = (n, height, width, channels)
    size = prod(shape)
    if size < LARGE:
        return torch.empty((n, channels, height, width), memory_format=torch.channels_last)
    block = _block(size)
    image = block[-block.__array_interface__["data"][0] % 64 // 4 :][:size].reshape(shape)
    weakref.finalize(image, _spare.append, block).atexit = False
    return torch.from_numpy(image).permute(0, 3, 1, 2)


def empty_apart(shape: Sequence[int], *, dtype: torch.dtype) -> Tensor:
    """Returns a tensor whose memory, where it is large, is the system's again once the tensor is gone.

    It lies in large pages where the system has them: to look up the places of small ones can take longer than
    to read a weight.
    """
    size = prod(shape) * dtype.itemsize
    if size < _APART:
        return torch.empty(tuple(shape), dtype=dtype)
    memory = mmap.mmap(-1, size + _HUGE_PAGE)  # what is never touched takes no room
    if hasattr(mmap, "MADV_HUGEPAGE"):
        memory.madvise(mmap.MADV_HUGEPAGE)
    block = torch.frombuffer(memory, dtype=torch.uint8)
    start = -block.data_ptr() % _HUGE_PAGE
    return block[start : start + size].view(dtype).reshape(tuple(shape))


def _block(size: int) -> npt.NDArray[Any]:
    """Returns memory for `size` elements, and enough more to let them begin with a line of the caches."""
    # Images may go at any time, in any thread, so blocks are taken out one by one, not looked through.
    for _ in range(_KEPT):
        try:
            block = _spare.popleft()
        except IndexError:
            break
        if block.size == size + 15:
            return block
        _spare.append(block)
    return np.empty(size + 15, np.float32)
