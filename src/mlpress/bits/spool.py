"""A temporary file that takes tensors out of memory."""

from __future__ import annotations

import mmap
import os
import tempfile
import weakref
from pathlib import Path
from threading import Lock
from typing import BinaryIO, Final

from mlpress.bits.tensor import Tensor

_ALIGNMENT: Final = 64

_SMALL: Final = 64 << 10
"""Tensors below this many bytes stay in memory."""

_SEGMENT: Final = 256 << 20
"""Bytes mapped at a time: each map costs a file descriptor."""


class Spool:
    """Stores tensors in a temporary file and hands them back as views of it, so that memory stays bounded.

    The file has no name where the system allows that, and vanishes with the last tensor over it. Methods may
    be called from several threads.
    """

    __slots__ = ("__weakref__", "_directory", "_file", "_lock", "_segment", "_start", "_used")

    def __init__(self, directory: Path | None = None) -> None:
        """Makes an empty spool; its file comes with the first tensor.

        Args:
            directory: Where the file lies; defaults to the system's directory for temporary files (`TMPDIR`).
        """
        self._directory = directory
        self._file: BinaryIO | None = None
        self._lock = Lock()
        self._segment = memoryview(b"")
        self._start = 0
        self._used = 0

    def store(self, tensor: Tensor) -> Tensor:
        """Returns a tensor equal to `tensor` whose bytes lie in the file.

        One that is small, or lies in a mapped file already, is returned as it is.

        Raises:
            OSError: The file can't be written (disk full).
        """
        if tensor.nbytes < _SMALL or isinstance(tensor.buffer.obj, mmap.mmap):
            return tensor
        with self._lock:
            if self._used + tensor.nbytes > len(self._segment):
                self._grow(tensor.nbytes)
            begin, self._used = self._used, -(-(self._used + tensor.nbytes) // _ALIGNMENT) * _ALIGNMENT
            assert self._file is not None
            _write(self._file, self._start + begin, tensor.buffer)
            return Tensor(tensor.dtype, tensor.shape, self._segment[begin : begin + tensor.nbytes])

    def _grow(self, nbytes: int) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile(dir=self._directory, buffering=0)  # noqa: SIM115 (lives as long as the spool)
            weakref.finalize(self, self._file.close)  # the maps hold the file by themselves
        start = self._start + len(self._segment)
        size = -(-max(_SEGMENT, nbytes) // mmap.ALLOCATIONGRANULARITY) * mmap.ALLOCATIONGRANULARITY
        self._file.truncate(start + size)  # sparse: takes no room before it is written
        self._segment = memoryview(
            mmap.mmap(self._file.fileno(), size, offset=start, access=mmap.ACCESS_READ)
        )
        self._start, self._used = start, 0


def _write(file: BinaryIO, offset: int, data: memoryview) -> None:
    file.seek(offset, os.SEEK_SET)
    while data:
        # An unbuffered write may take only a part.
        data = data[file.write(data) :]


assert mmap.ALLOCATIONGRANULARITY % _ALIGNMENT == 0
