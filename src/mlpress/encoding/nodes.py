"""The encoding tree: how a dense tensor is stored, and nothing about how fast it runs.

Five nodes say all of Core ML's weight compression. Each is immutable and checks itself when made, from
shapes and dtypes alone: no element is read.

A node is *masked* when it stands for the kept elements of a sparse tensor. `Sparse` leaves are masked,
`Affine` and `Lut` pass it on, `Scatter` ends it. `shape` is the dense shape in either case.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from mlpress.bits import (
    FLOAT16,
    FLOAT32,
    INT4,
    INT8,
    UINT1,
    UINT2,
    UINT3,
    UINT4,
    UINT6,
    UINT8,
    DType,
    Tensor,
)
from mlpress.errors import EncodingError

INDEX_DTYPES = (UINT1, UINT2, UINT3, UINT4, UINT6, UINT8)
TABLE_DTYPES = (INT8, UINT8, FLOAT16, FLOAT32)
AFFINE_DTYPES = (INT4, UINT4, INT8, UINT8, FLOAT16, FLOAT32)
FLOAT_DTYPES = (FLOAT16, FLOAT32)


@dataclass(frozen=True, slots=True)
class Dense:
    """The values as they are."""

    values: Tensor

    @property
    def shape(self) -> tuple[int, ...]:
        return self.values.shape

    @property
    def dtype(self) -> DType:
        return self.values.dtype

    @property
    def masked(self) -> bool:
        return False

    @property
    def operands(self) -> tuple[Encoding, ...]:
        return ()

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        return (self.values,)


@dataclass(frozen=True, slots=True)
class Sparse:
    """The values at the places where a bit mask is 1, in row-major order.

    Attributes:
        mask: uint1, the dense shape.
        values: One axis, as many elements as the mask has ones.
    """

    mask: Tensor
    values: Tensor

    def __post_init__(self) -> None:
        if self.mask.dtype != UINT1:
            raise EncodingError(f"a sparse mask is uint1, not {self.mask.dtype}")
        if len(self.values.shape) != 1 or self.values.size > self.mask.size:
            raise EncodingError(
                f"sparse values of shape {self.values.shape} do not fit a mask of {self.mask.size} elements"
            )

    @property
    def shape(self) -> tuple[int, ...]:
        return self.mask.shape

    @property
    def dtype(self) -> DType:
        return self.values.dtype

    @property
    def masked(self) -> bool:
        return True

    @property
    def operands(self) -> tuple[Encoding, ...]:
        return ()

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        return (self.mask, self.values)


@dataclass(frozen=True, slots=True)
class Affine:
    """``scale * (data - offset)``, each scale and offset covering one block of the data.

    The arithmetic is float32, rounded to the dtype of the scale.

    Attributes:
        data: Integers or floats, dense or masked.
        scale: Floats, the rank of the data; each size divides that of the data.
        offset: The shape of the scale, or None for 0; integers when the data are (floats in the oldest form
            only).
    """

    data: Encoding
    scale: Encoding
    offset: Encoding | None = None

    def __post_init__(self) -> None:
        _require_dtype("affine data", self.data.dtype, AFFINE_DTYPES)
        _require_dtype("affine scale", self.scale.dtype, FLOAT_DTYPES)
        _require_dense("affine scale", self.scale)
        _require_blocks("affine scale", self.scale.shape, self.data.shape)
        if self.offset is not None:
            _require_dense("affine offset", self.offset)
            _require_dtype("affine offset", self.offset.dtype, AFFINE_DTYPES)
            if self.offset.shape != self.scale.shape:
                raise EncodingError(
                    f"an affine offset has the scale's shape {self.scale.shape}, not {self.offset.shape}"
                )

    @property
    def shape(self) -> tuple[int, ...]:
        return self.data.shape

    @property
    def dtype(self) -> DType:
        return self.scale.dtype

    @property
    def masked(self) -> bool:
        return self.data.masked

    @property
    def operands(self) -> tuple[Encoding, ...]:
        return (self.data, self.scale) if self.offset is None else (self.data, self.scale, self.offset)

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        return ()


@dataclass(frozen=True, slots=True)
class Lut:
    """``table[indices]``, with a table for each group of index positions.

    Attributes:
        indices: Unsigned integers of 1, 2, 3, 4, 6 or 8 bits, dense or masked, K axes.
        table: K + 2 axes: the groups along each axis of the indices, 2^bits entries, V elements an entry.
        vector_axis: Where the V elements of an entry lie in the result; None exactly when V is 1.
    """

    indices: Encoding
    table: Encoding
    vector_axis: int | None = None

    def __post_init__(self) -> None:
        _require_dtype("look-up indices", self.indices.dtype, INDEX_DTYPES)
        _require_dtype("look-up table", self.table.dtype, TABLE_DTYPES)
        _require_dense("look-up table", self.table)
        rank = len(self.indices.shape)
        shape = self.table.shape
        if len(shape) != rank + 2:
            raise EncodingError(
                f"a look-up table has rank {rank + 2} (that of the indices + 2), not shape {shape}"
            )
        _require_blocks("look-up table", shape[:-2], self.indices.shape)
        if shape[-2] != 1 << self.indices.dtype.bits:
            raise EncodingError(
                f"{self.indices.dtype} indices need {1 << self.indices.dtype.bits} table entries, "
                f"not {shape[-2]}"
            )
        if shape[-1] < 1 or (shape[-1] > 1) != (self.vector_axis is not None):
            raise EncodingError(
                f"vector_axis is given exactly when entries have several elements; "
                f"got vector_axis={self.vector_axis} and {shape[-1]} elements"
            )
        if self.vector_axis is not None and not 0 <= self.vector_axis < rank:
            raise EncodingError(f"vector_axis {self.vector_axis} is outside 0 to {rank - 1}")

    @property
    def shape(self) -> tuple[int, ...]:
        shape = list(self.indices.shape)
        if self.vector_axis is not None:
            shape[self.vector_axis] *= self.vector_size
        return tuple(shape)

    @property
    def vector_size(self) -> int:
        """Elements of one table entry (V)."""
        return self.table.shape[-1]

    @property
    def dtype(self) -> DType:
        return self.table.dtype

    @property
    def masked(self) -> bool:
        return self.indices.masked

    @property
    def operands(self) -> tuple[Encoding, ...]:
        return (self.indices, self.table)

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        return ()


@dataclass(frozen=True, slots=True)
class Scatter:
    """A masked encoding made dense, with zeros where the mask is 0."""

    source: Encoding

    def __post_init__(self) -> None:
        if not self.source.masked:
            raise EncodingError(f"only a masked encoding can be scattered, not {type(self.source).__name__}")

    @property
    def shape(self) -> tuple[int, ...]:
        return self.source.shape

    @property
    def dtype(self) -> DType:
        return self.source.dtype

    @property
    def masked(self) -> bool:
        return False

    @property
    def operands(self) -> tuple[Encoding, ...]:
        return (self.source,)

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        return ()


Encoding = Dense | Sparse | Affine | Lut | Scatter


def _require_dtype(what: str, dtype: DType, allowed: tuple[DType, ...]) -> None:
    if dtype not in allowed:
        raise EncodingError(f"{what} cannot be {dtype}; allowed: {', '.join(map(repr, allowed))}")


def _require_dense(what: str, encoding: Encoding) -> None:
    if encoding.masked:
        raise EncodingError(f"{what} must be dense, not sparse")


def _require_blocks(what: str, counts: tuple[int, ...], shape: tuple[int, ...]) -> None:
    fits = len(counts) == len(shape) and all(
        size % count == 0 if count else size == 0 for count, size in zip(counts, shape, strict=True)
    )
    if not fits:
        raise EncodingError(f"{what}: {counts} blocks do not divide shape {shape}")


def size_of(encoding: Encoding) -> int:
    """Number of elements of the dense tensor."""
    return math.prod(encoding.shape)
