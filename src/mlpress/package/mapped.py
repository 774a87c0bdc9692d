"""Read-only memory maps whose pages can be given back."""

from __future__ import annotations

import mmap
import os
from pathlib import Path

import numpy as np

from mlpress.bits import Tensor

_CAN_RELEASE = hasattr(mmap.mmap, "madvise") and hasattr(mmap, "MADV_DONTNEED")


def map_file(path: Path) -> memoryview:
    """Maps a file read-only; the map outlives the file's name, as long as any view of it is in use.

    Truncating the file in place while it is mapped is the one thing that no reader can survive; saving
    through this package never does that.

    Returns:
        The bytes of the file, none of them read yet.

    Raises:
        OSError: The file can't be opened.
    """
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size == 0:
            return memoryview(b"")  # an empty file can't be mapped
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def is_mapped(tensor: Tensor) -> bool:
    """Whether the bytes of `tensor` lie in a mapped file."""
    return isinstance(tensor.buffer.obj, mmap.mmap)


def release(tensor: Tensor) -> None:
    """Gives the memory pages of a mapped tensor back to the system; they are read again when next used.

    Does nothing for a tensor in memory, or where the system has no such call.
    """
    release_view(tensor.buffer)


def release_view(view: memoryview) -> None:
    """Like `release`, for a byte view of a map."""
    owner = view.obj
    if not (_CAN_RELEASE and isinstance(owner, mmap.mmap) and view.nbytes):
        return
    start = _address(view) - _address(memoryview(owner))
    first_page = start - start % mmap.PAGESIZE
    owner.madvise(mmap.MADV_DONTNEED, first_page, start + view.nbytes - first_page)


def _address(view: memoryview) -> int:
    return np.frombuffer(view, np.uint8).ctypes.data
