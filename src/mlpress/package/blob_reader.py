"""Reading blob files: tensors over a memory map, each record checked before use."""

from __future__ import annotations

import math
from pathlib import Path

from mlpress.bits import DType, Tensor
from mlpress.errors import InvalidPackageError
from mlpress.package.blob_format import (
    ALIGNMENT,
    CODES,
    DTYPES,
    HEADER,
    METADATA,
    SENTINEL,
    VERSION,
    padding_bits,
)
from mlpress.package.mapped import map_file


class BlobReader:
    """A mapped blob file.

    Attributes:
        path: Where it was opened.
    """

    __slots__ = ("_bytes", "_tensors", "path")

    def __init__(self, path: Path) -> None:
        """Maps `path`; no data is read.

        Raises:
            InvalidPackageError: The file can't be opened, or isn't a blob file of a known version.
        """
        self.path = path
        try:
            self._bytes = map_file(path)
        except OSError as error:
            raise InvalidPackageError(f"cannot open the weight file {path}: {error.strerror}") from error
        if len(self._bytes) < HEADER.size:
            raise InvalidPackageError(
                f"weight file {path} is truncated: {len(self._bytes)} bytes; its header takes {HEADER.size}"
            )
        _, version = HEADER.unpack_from(self._bytes)
        if version != VERSION:
            raise InvalidPackageError(f"weight file {path} has version {version}; supported: {VERSION}")
        self._tensors: dict[tuple[int, DType, tuple[int, ...]], Tensor] = {}

    def tensor(self, offset: int, dtype: DType, shape: tuple[int, ...]) -> Tensor:
        """Returns the blob whose metadata is at `offset` as a tensor over the map; nothing is copied.

        Asking again for the same blob gives the same tensor.

        Args:
            offset: Byte offset of the metadata in the file.
            dtype: Element type that the program states.
            shape: Shape that the program states.

        Raises:
            InvalidPackageError: There is no intact record at `offset`, or it holds something else.
        """
        key = (offset, dtype, shape)
        if key not in self._tensors:
            self._tensors[key] = Tensor(dtype, shape, self._data(offset, dtype, math.prod(shape)))
        return self._tensors[key]

    def _data(self, offset: int, dtype: DType, count: int) -> memoryview:
        where = f"blob at offset {offset} of {self.path}"
        if offset % ALIGNMENT or not HEADER.size <= offset <= len(self._bytes) - METADATA.size:
            raise InvalidPackageError(
                f"{where}: no record there; offsets are multiples of {ALIGNMENT} and the file has "
                f"{len(self._bytes)} bytes"
            )
        sentinel, code, nbytes, start, unused = METADATA.unpack_from(self._bytes, offset)
        if sentinel != SENTINEL:
            raise InvalidPackageError(f"{where}: record starts with {sentinel:#010x}, not {SENTINEL:#010x}")
        if code not in DTYPES:
            raise InvalidPackageError(f"{where}: unknown element code {code}")
        if CODES.get(dtype) != code:
            raise InvalidPackageError(f"{where}: holds {DTYPES[code]}, but the program says {dtype}")
        if nbytes != dtype.nbytes(count):
            raise InvalidPackageError(
                f"{where}: holds {nbytes} bytes, but {count} elements of {dtype} take {dtype.nbytes(count)}"
            )
        if start % ALIGNMENT or start + nbytes > len(self._bytes) or (nbytes and start < HEADER.size):
            raise InvalidPackageError(
                f"{where}: its data at {start}, {nbytes} bytes long, is not inside the file "
                f"({len(self._bytes)} bytes) at a multiple of {ALIGNMENT}"
            )
        data = self._bytes[start : start + nbytes]
        if dtype.is_packed:
            self._check_padding(where, data, unused, padding_bits(dtype, count))
        return data

    @staticmethod
    def _check_padding(where: str, data: memoryview, stated: int, expected: int) -> None:
        # Only types below a byte: old writers left garbage in this field for the others.
        if stated != expected:
            raise InvalidPackageError(
                f"{where}: states {stated} unused bits, but its elements leave {expected}"
            )
        if expected and data[-1] >> (8 - expected):
            raise InvalidPackageError(f"{where}: the {expected} unused bits of its last byte are not zero")
