"""An immutable tensor over bytes exactly as a Core ML file holds them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from mlpress import kernels
from mlpress.bits.dtypes import DType, dtype_of


class Tensor:
    """A dtype, a shape and the bytes of the elements: row-major, little-endian, bit-packed below a byte.

    The bytes may lie in memory or be a slice of a mapped file; nothing is read before `numpy` is called.

    Attributes:
        dtype: Element type.
        shape: Sizes of the axes; ``()`` for a scalar.
        buffer: Read-only bytes, ``dtype.nbytes(size)`` of them.
    """

    __slots__ = ("_address", "buffer", "dtype", "shape")

    def __init__(self, dtype: DType, shape: tuple[int, ...], buffer: bytes | memoryview) -> None:
        """Wraps `buffer` without copying it.

        Raises:
            ValueError: The buffer does not have the number of bytes that dtype and shape call for.
        """
        view = memoryview(buffer).cast("B").toreadonly()
        expected = dtype.nbytes(math.prod(shape))
        if view.nbytes != expected:
            raise ValueError(f"{dtype} tensor of shape {shape} takes {expected} bytes, not {view.nbytes}")
        self.dtype = dtype
        self.shape = shape
        self.buffer = view
        self._address: tuple[int, int] | None = None

    @classmethod
    def from_numpy(cls, array: npt.NDArray[Any], dtype: DType | None = None) -> Tensor:
        """Stores `array`, as `dtype` if given.

        The array is not copied when its bytes already are what the file holds, so the caller gives it away.

        Args:
            array: Any shape; its dtype must be the storage type of `dtype`.
            dtype: Defaults to the type of the array's own elements.

        Raises:
            ValueError: The array's dtype does not fit, or a value lies outside the range of a packed dtype.
        """
        dtype = dtype or dtype_of(array)
        if array.dtype.newbyteorder("=") != dtype.storage:
            raise ValueError(f"a {dtype} tensor is made from {dtype.storage} elements, not {array.dtype}")
        shape = array.shape
        flat = np.ascontiguousarray(array, dtype=dtype.storage.newbyteorder("<")).reshape(-1)
        if dtype.is_packed:
            _check_range(flat, dtype)
            flat = kernels.pack(flat, dtype.bits)
        return cls(dtype, shape, flat.view(np.uint8).data)

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes in a file."""
        return self.buffer.nbytes

    @property
    def address(self) -> tuple[int, int]:
        """Where the bytes lie, as (address, length): equal for tensors that share storage while both live."""
        if self._address is None:
            start = np.frombuffer(self.buffer, np.uint8).ctypes.data if self.nbytes else 0
            self._address = start, self.nbytes
        return self._address

    def numpy(self) -> npt.NDArray[Any]:
        """Returns the elements, shape `shape`, dtype ``dtype.storage``, read-only.

        A view of the bytes for types of a byte or more, an unpacked copy below.
        """
        if self.dtype.is_packed:
            packed = np.frombuffer(self.buffer, np.uint8)
            flat = kernels.unpack(packed, self.dtype.bits, self.size, signed=self.dtype.kind == "int")
            flat.flags.writeable = False
        else:
            flat = np.frombuffer(self.buffer, self.dtype.storage)
        return flat.reshape(self.shape)

    def reshape(self, shape: tuple[int, ...]) -> Tensor:
        """Returns the same elements under another shape, sharing the bytes."""
        if math.prod(shape) != self.size:
            raise ValueError(f"{self.size} elements of shape {self.shape} cannot take shape {shape}")
        return Tensor(self.dtype, shape, self.buffer)

    def __eq__(self, other: object) -> bool:
        """Same dtype, shape and bytes."""
        if not isinstance(other, Tensor):
            return NotImplemented
        return self is other or (
            self.dtype == other.dtype
            and self.shape == other.shape
            and (self.address == other.address or self.buffer == other.buffer)
        )

    def __hash__(self) -> int:
        return hash((self.dtype.name, self.shape))

    def __reduce__(self) -> tuple[Callable[..., Tensor], tuple[Any, ...]]:
        # Mapped bytes travel by value: the other process may be on another machine.
        return Tensor, (self.dtype, self.shape, bytes(self.buffer))

    def __repr__(self) -> str:
        return f"Tensor({self.dtype}, {list(self.shape)})"


def _check_range(flat: npt.NDArray[Any], dtype: DType) -> None:
    if flat.size and not (
        dtype.low <= (least := int(flat.min())) and (most := int(flat.max())) <= dtype.high
    ):
        bad = least if least < dtype.low else most
        raise ValueError(f"value {bad} does not fit {dtype}; allowed: {dtype.low} to {dtype.high}")
