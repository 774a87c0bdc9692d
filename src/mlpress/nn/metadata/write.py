"""From an encoding to the fields that coremltools' converter reads."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from mlpress.bits import FLOAT32
from mlpress.encoding import Affine, Dense, Encoding, Lut, Scatter, Sparse, decode
from mlpress.errors import EncodingError
from mlpress.nn.metadata.buffers import Kind, Metadata

Array = npt.NDArray[Any]


def metadata_of(encoding: Encoding) -> Metadata:
    """Returns the fields of a compressed parameter.

    coremltools 9.0 fails on tables of integers in a pruned weight, of vectors, or with a scale per channel.
    There, quantization is left out of ``compression_type`` while its other fields stay: coremltools then
    makes a table of floats of the same values, and `encoding_of` the table of integers.

    Raises:
        EncodingError: The fields cannot say what the encoding says.
    """
    pruned = isinstance(encoding, Scatter)
    kinds = (Kind.PRUNING,) if pruned else ()
    match encoding.source if isinstance(encoding, Scatter) else encoding:
        case Sparse(_, values) if values.dtype.is_float:
            return Metadata(kinds)
        case Affine(Dense() | Sparse() as data, scale, offset) if data.dtype.is_integer:
            return Metadata(
                (*kinds, Kind.QUANTIZATION),
                quantization_n_bits=data.dtype.bits,
                quantization_scale=decode(scale),
                zero_point=_zero_point(data, offset, scale.shape),
            )
        case Lut() as lut if lut.dtype.is_float:
            return _palette(kinds, lut)
        case Affine(Lut() as lut, scale, None) if lut.dtype.is_float:
            return _palette(kinds, lut, decode(scale))
        case Affine(Lut(_, Dense()) as lut, scale, offset):
            return _integer_palette(kinds, lut, decode(scale), offset)
        case other:
            raise EncodingError(f"{type(other).__name__} of {other.dtype} has no form as metadata")


def _palette(kinds: tuple[Kind, ...], lut: Lut, scale: Array | None = None) -> Metadata:
    fields: dict[str, Any] = {}
    kinds = (*kinds, Kind.PALETTIZATION)
    if isinstance(lut.table, Affine):
        integers = lut.table.data
        if not integers.dtype.is_integer:
            raise EncodingError(f"a table of scaled {integers.dtype} has no form as metadata")
        table_scale = lut.table.scale
        fields = {
            "quantization_n_bits": integers.dtype.bits,
            "quantization_scale": decode(table_scale),
            "zero_point": _zero_point(integers, lut.table.offset, table_scale.shape),
        }
        if len(kinds) == 1 and scale is None and lut.vector_axis is None:
            kinds = (*kinds, Kind.QUANTIZATION)
    return Metadata(
        kinds, lut=decode(lut.table), palettization_scale=scale, vector_axis=lut.vector_axis, **fields
    )


def _integer_palette(kinds: tuple[Kind, ...], lut: Lut, scale: Array, offset: Encoding | None) -> Metadata:
    table = decode(lut.table)
    zero = np.zeros(1, table.dtype)
    if offset is not None:
        zero = np.unique(decode(offset))
        if zero.size > 1:
            raise EncodingError("zero points that differ behind a table have no form as metadata")
    shape = (1,) * len(lut.table.shape)
    signed_and_centred = offset is None and lut.dtype.kind == "int"
    return Metadata(
        (*kinds, Kind.PALETTIZATION),
        quantization_n_bits=8,
        zero_point=None if signed_and_centred else zero.reshape(shape),
        lut=table.astype(FLOAT32.storage) - zero.astype(FLOAT32.storage),
        palettization_scale=scale,
        vector_axis=lut.vector_axis,
    )


def _zero_point(data: Encoding, offset: Encoding | None, shape: tuple[int, ...]) -> Array | None:
    """Returns zero points as int8 or uint8, which also says whether the integers are signed."""
    if offset is not None:
        return decode(offset)
    return None if data.dtype.kind == "int" else np.zeros(shape, data.dtype.storage)
