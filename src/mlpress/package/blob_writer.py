"""Writing blob files: plan the offsets first, then stream the bytes."""

from __future__ import annotations

from typing import BinaryIO, Final

from mlpress.bits import Tensor
from mlpress.package.atomic import begin_flush
from mlpress.package.blob_format import CODES, HEADER, METADATA, SENTINEL, VERSION, align, padding_bits
from mlpress.package.mapped import release_view

_CHUNK: Final = 4 << 20
"""Bytes written at a time, so that a mapped source never holds more than this in memory."""


class BlobLayout:
    """The order and offsets of the blobs of one file that is yet to be written.

    Tensors over the same bytes with the same type and number of elements are stored once. Planning touches no
    data, so that a program's text can be made without writing its weights.
    """

    __slots__ = ("_end", "_offsets", "_tensors")

    def __init__(self) -> None:
        self._end = HEADER.size
        self._offsets: dict[tuple[tuple[int, int], int, int], int] = {}
        self._tensors: list[tuple[int, Tensor]] = []

    def add(self, tensor: Tensor) -> int:
        """Places `tensor` and returns the offset of its metadata.

        Raises:
            KeyError: Blobs can't hold the element type.
        """
        # The list keeps the tensor alive, so no other can come to lie at its address.
        key = (tensor.address, CODES[tensor.dtype], tensor.size)
        if key not in self._offsets:
            offset = align(self._end)
            self._offsets[key] = offset
            self._tensors.append((offset, tensor))
            self._end = offset + METADATA.size + tensor.nbytes
        return self._offsets[key]

    def __len__(self) -> int:
        """Number of blobs."""
        return len(self._tensors)

    @property
    def nbytes(self) -> int:
        """Size of the file."""
        return self._end

    def write(self, file: BinaryIO) -> None:
        """Writes the whole file to `file`, in order, giving mapped pages back as it goes.

        Raises:
            OSError: Writing failed.
        """
        file.write(HEADER.pack(len(self._tensors), VERSION))
        end, begun = HEADER.size, 0
        for offset, tensor in self._tensors:
            file.write(bytes(offset - end))
            unused = padding_bits(tensor.dtype, tensor.size)
            file.write(
                METADATA.pack(SENTINEL, CODES[tensor.dtype], tensor.nbytes, offset + METADATA.size, unused)
            )
            end = offset + METADATA.size
            for start in range(0, tensor.nbytes, _CHUNK):
                chunk = tensor.buffer[start : start + _CHUNK]
                file.write(chunk)
                release_view(chunk)
                end += chunk.nbytes
                if end - begun >= _CHUNK:
                    begin_flush(file, begun, end)
                    begun = end
