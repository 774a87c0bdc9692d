"""From what was trained to an encoding."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from mlpress.bits import dtype_named, dtype_of, unsigned
from mlpress.encoding import Affine, Dense, Encoding, Lut, Scatter
from mlpress.nn.arrays import to_numpy
from mlpress.nn.leaves import dense, leaf
from mlpress.nn.training.palettize import Palettization
from mlpress.nn.training.prune import Pruning
from mlpress.nn.training.quantize import Quantization


def encode(
    weight: torch.Tensor,
    prune: Pruning | None,
    palettize: Palettization | None,
    quantize: Quantization | None,
) -> Encoding:
    """Returns how a weight is stored that was trained with some techniques.

    Args:
        weight: float16 or float32, as it is trained.
        prune: What prunes it, or None.
        palettize: What palettizes it, or None; before its milestone it does nothing.
        quantize: What quantizes it or its tables, or None; likewise.

    Returns:
        A plain dense encoding where nothing has begun.
    """
    mask = None if prune is None else prune.mask
    bits = None if mask is None else to_numpy(mask)
    value = weight if mask is None else torch.where(mask, weight, 0)
    rounds = quantize is not None and quantize.begun
    found: Encoding
    if palettize is not None and palettize.enabled:
        return _palettized(value, mask, palettize, quantize if rounds else None)
    if quantize is not None and rounds:
        codes, scale, zero = (to_numpy(part) for part in quantize.assign(value))
        integers = quantize.options.integers
        dtype = dtype_named(f"{'' if integers.signed else 'u'}int{integers.bits}")
        offset = dense(zero.astype(dtype.storage), dtype) if zero.any() else None
        scales = dense(scale.astype(to_numpy(value).dtype))
        found = Affine(leaf(codes.astype(dtype.storage), dtype, bits), scales, offset)
    else:
        values = to_numpy(value)
        kept = None if bits is None else bits & (values != 0)
        found = leaf(values, dtype_of(values), kept)
    return found if mask is None else Scatter(found)


def _palettized(
    value: torch.Tensor,
    mask: torch.Tensor | None,
    palettize: Palettization,
    quantize: Quantization | None,
) -> Encoding:
    palette = palettize.assign(value, mask, 0 if quantize is None else quantize.levels)
    groups, entries, length = palette.tables.shape
    channels = palettize.options.axis
    moved = value.movedim(channels, 0).shape
    shape = (moved[0] // length, *moved[1:])
    indices = palette.indices.reshape(shape).movedim(0, channels).to(torch.uint8)
    kept = None if palette.kept is None else to_numpy(palette.kept.reshape(shape).movedim(0, channels))
    counts = [groups if axis == channels else 1 for axis in range(value.dim())]
    values = to_numpy(palette.tables).reshape(*counts, entries, length)
    weight_dtype = to_numpy(value[:0]).dtype
    table = _table(values, weight_dtype, palettize, quantize)
    axis = channels if length > 1 else None
    found: Encoding = Lut(leaf(to_numpy(indices), unsigned(palettize.options.n_bits), kept), table, axis)
    if palette.scale is not None:
        found = Affine(found, dense(to_numpy(palette.scale).astype(weight_dtype)))
    return found if kept is None else Scatter(found)


def _table(
    values: Any, dtype: Any, palettize: Palettization, quantize: Quantization | None
) -> Dense | Affine:
    """Returns the table of floats, or of the integers that its entries were rounded to in training."""
    levels = palettize.own_levels if quantize is None else quantize.levels
    if not levels:
        return dense(values.astype(dtype))
    signed = palettize.options.table_dtype == "i8" if quantize is None else quantize.options.integers.signed
    stored = dtype_named(f"{'' if signed else 'u'}int{8 if levels == 127 else 4}")
    largest = np.abs(values).max()
    scale = np.full((1,) * values.ndim, largest / levels if largest else 1, dtype)
    codes = np.rint(values / scale).clip(-levels, levels)
    if signed:
        return Affine(dense(codes.astype(stored.storage), stored), dense(scale))
    offset = np.full(scale.shape, levels + 1, stored.storage)
    moved = (codes + levels + 1).astype(stored.storage)
    return Affine(dense(moved, stored), dense(scale), dense(offset, stored))
