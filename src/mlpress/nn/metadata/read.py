"""From the fields that coremltools' optimizers write, and a parameter's values, to an encoding."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from mlpress.bits import DType, dtype_of, unsigned
from mlpress.encoding import Affine, Dense, Encoding, Lut, Scatter, Sparse, decode, spread, to_vectors
from mlpress.errors import EncodingError
from mlpress.nn.leaves import dense, leaf
from mlpress.nn.metadata.buffers import Kind, Metadata
from mlpress.nn.metadata.integers import find_integers, of_rank
from mlpress.nn.metadata.palettes import Palette, find_indices

Array = npt.NDArray[Any]

_PRUNE, _PALETTIZE, _QUANTIZE = Kind
_TABLE_BITS = (1, 2, 3, 4, 6, 8)


def encoding_of(metadata: Metadata, values: Array) -> Encoding:
    """Returns the encoding of a compressed parameter.

    Integers and indices are those that decode to `values`, or come closest. Where the last thing that was
    done has undone what came before, as palettizing does with the integers of channels, what came before is
    left out. A pruned parameter keeps what is not zero; coremltools also drops magnitudes up to 0.000977
    there.

    Args:
        metadata: What was done to it.
        values: float16 or float32, its decoded values.

    Raises:
        EncodingError: The fields contradict each other or the values.
    """
    if values.dtype not in (np.float16, np.float32):
        raise EncodingError(f"a compressed parameter is {values.dtype}; allowed: float16, float32")
    readings = _readings(metadata)
    found: list[Encoding] = []
    failed: list[EncodingError] = []
    for reading in readings:
        try:
            encoding = _encoding_of(reading, values)
        except EncodingError as error:
            failed.append(error)
            continue
        if len(readings) == 1 or _decodes_to(encoding, values):
            return encoding
        found.append(encoding)
    if not found:
        raise failed[0]
    return found[0]


def _readings(metadata: Metadata) -> list[Metadata]:
    """Returns metadata with all that was done, and with less and less of what was done first.

    Pruning counts in all: what is zero shows in the values.
    """
    kinds = metadata.compression_type
    pruned = (_PRUNE,) if _PRUNE in kinds else ()
    last = [tuple(kind for kind in kinds[start:] if kind is not _PRUNE) for start in range(len(kinds))]
    return [_only(metadata, pruned + some) for some in dict.fromkeys(last)]


def _only(metadata: Metadata, kinds: tuple[Kind, ...]) -> Metadata:
    undone = _QUANTIZE in metadata.compression_type and _QUANTIZE not in kinds
    absent = ("quantization_n_bits", "quantization_scale", "zero_point") if undone else ()
    return replace(metadata, compression_type=kinds, **dict.fromkeys(absent))


def _decodes_to(encoding: Encoding, values: Array) -> bool:
    largest = float(np.abs(values).max(initial=0))
    allowed = 8 * float(np.finfo(values.dtype).eps) * largest
    return bool(np.abs(decode(encoding).astype(np.float32) - values).max(initial=0) <= allowed)


def _encoding_of(metadata: Metadata, values: Array) -> Encoding:
    kinds = metadata.compression_type
    mask = np.asarray(values != 0) if _PRUNE in kinds else None
    found: Encoding
    if _PALETTIZE in kinds:
        found = _palettized(metadata, values, mask)
    elif _QUANTIZE in kinds:
        found = _quantized(metadata, values, mask)
    else:
        found = leaf(values, dtype_of(values), mask)
    return found if mask is None else Scatter(found)


def _quantized(metadata: Metadata, values: Array, mask: Array | None) -> Affine:
    assert metadata.quantization_n_bits is not None
    assert metadata.quantization_scale is not None
    scale = of_rank(metadata.quantization_scale, values.ndim, "quantization_scale").astype(values.dtype)
    found = find_integers(values, scale, metadata.zero_point, metadata.quantization_n_bits)
    return Affine(leaf(found.codes, found.dtype, mask), _dense(scale), _dense(found.zero_point, found.dtype))


def _palettized(metadata: Metadata, values: Array, mask: Array | None) -> Encoding:
    entries, scale = _entries(metadata, values), metadata.palettization_scale
    if scale is not None:
        scale = of_rank(scale, values.ndim, "palettization_scale").astype(values.dtype)
    length = entries.shape[-1]
    axis = (metadata.vector_axis or 0) if length > 1 else None
    if axis is not None and not 0 <= axis < values.ndim:
        raise EncodingError(f"vector_axis is {axis}; allowed: 0 to {values.ndim - 1}")
    palette = Palette(entries, axis, None if scale is None else spread(scale, values.shape))
    indices = find_indices(palette, values)
    if mask is not None and axis is not None:
        mask = np.asarray(to_vectors(mask, axis, length).any(axis=-1))
    indexed = leaf(indices, unsigned(entries.shape[-2].bit_length() - 1), mask)
    if metadata.quantization_n_bits is None:
        lut = Lut(indexed, _dense(entries), axis)
        return lut if scale is None else Affine(lut, _dense(scale))
    return _integer_table(metadata, entries, indexed, axis, scale)


def _integer_table(
    metadata: Metadata, entries: Array, indexed: Dense | Sparse, axis: int | None, scale: Array | None
) -> Encoding:
    """Returns the encoding with a table of integers, which has a scale of its own or none at all."""
    assert metadata.quantization_n_bits is not None
    given = metadata.quantization_scale
    if given is None and scale is None:
        raise EncodingError("a table of integers has neither quantization_scale nor palettization_scale")
    own = np.ones((1,) * entries.ndim) if given is None else given
    own = of_rank(own, entries.ndim, "quantization_scale").astype(entries.dtype)
    found = find_integers(entries, own, metadata.zero_point, metadata.quantization_n_bits)
    table, zero = _dense(found.codes, found.dtype), _dense(found.zero_point, found.dtype)
    if given is not None:
        lut = Lut(indexed, Affine(table, _dense(own), zero), axis)
        return lut if scale is None else Affine(lut, _dense(scale))
    assert scale is not None
    if found.zero_point is not None:
        zero = _dense(np.full(scale.shape, found.zero_point.reshape(-1)[0]), found.dtype)
    return Affine(Lut(indexed, table, axis), _dense(scale), zero)


def _entries(metadata: Metadata, values: Array) -> Array:
    """Returns the table with rank K + 2 and as many entries as indices of a storable type can have."""
    assert metadata.lut is not None
    rank = values.ndim
    lut = metadata.lut[..., None] if metadata.lut.ndim == rank + 1 else metadata.lut
    if lut.ndim != rank + 2:
        raise EncodingError(f"lut has shape {lut.shape}; the parameter needs {rank + 2} axes")
    entries = lut.shape[-2]
    if not 1 <= entries <= 256:
        raise EncodingError(f"lut has {entries} entries; allowed: 1 to 256")
    size = next(1 << bits for bits in _TABLE_BITS if entries <= 1 << bits)
    return np.pad(lut, [(0, 0)] * rank + [(0, size - entries), (0, 0)]).astype(values.dtype)


def _dense(array: Array | None, dtype: DType | None = None) -> Any:
    return None if array is None else dense(array, dtype)
