"""From rounded and pruned matrices to encodings of layers' weights."""

from __future__ import annotations

import numpy as np
import torch

from mlpress.bits import dtype_named, dtype_of, unsigned
from mlpress.encoding import Affine, Encoding, Lut, Scatter
from mlpress.nn.arrays import Array, to_numpy
from mlpress.nn.calibration.gptq import Rounded
from mlpress.nn.calibration.grids import Grid
from mlpress.nn.calibration.sparse_gpt import Pruned
from mlpress.nn.leaves import dense, leaf


def rounded_encoding(found: Rounded, weight: torch.Tensor, signed: bool) -> Encoding:
    """Returns how a weight is stored that GPTQ rounded.

    Args:
        found: The result.
        weight: The weight before, for its shape and type.
        signed: Whether integers are signed.
    """
    mask = None if found.mask is None else to_numpy(found.mask).reshape(tuple(weight.shape))
    encoding = _on_grids(found.codes, found.grids, mask, weight, signed)
    return encoding if mask is None else Scatter(encoding)


def pruned_encoding(found: Pruned, weight: torch.Tensor, signed: bool) -> Encoding:
    """Returns how a weight is stored that SparseGPT pruned; arguments as for `rounded_encoding`."""
    mask = to_numpy(found.mask).reshape(tuple(weight.shape))
    if found.codes is not None and found.grid is not None:
        return Scatter(_on_grids(found.codes, (found.grid,), mask, weight, signed))
    values = to_numpy(found.values.to(weight.dtype)).reshape(mask.shape)
    return Scatter(leaf(values, dtype_of(values), mask & (values != 0)))


def _on_grids(
    codes: torch.Tensor, grids: tuple[Grid, ...], mask: Array | None, weight: torch.Tensor, signed: bool
) -> Encoding:
    options, shape = grids[0].options, tuple(weight.shape)
    stored = to_numpy(weight[:0]).dtype
    indices = to_numpy(codes).reshape(shape)
    scale = _blocks([grid.scale for grid in grids], shape, options.per_channel).astype(stored)
    if options.normal_float:
        table = to_numpy(grids[0].table).astype(stored).reshape(*(1,) * len(shape), -1, 1)
        lut = Lut(leaf(indices.astype(np.uint8), unsigned(options.bits), mask), dense(table))
        return Affine(lut, dense(scale))
    zero = _blocks([grid.zero_point for grid in grids], shape, options.per_channel)
    dtype = dtype_named(f"{'' if signed else 'u'}int{4 if options.bits <= 4 else 8}")
    if signed:  # integers and zero points move together, so that values stay
        middle = 1 << (options.bits - 1)
        indices, zero = indices - middle, zero - middle
    offset = dense(zero.astype(dtype.storage), dtype) if zero.any() else None
    return Affine(leaf(indices.astype(dtype.storage), dtype, mask), dense(scale), offset)


def _blocks(parts: list[torch.Tensor], shape: tuple[int, ...], per_channel: bool) -> Array:
    """Returns one value for each row and block, of the rank of the weight."""
    blocks = to_numpy(torch.cat(parts, dim=1))
    if not per_channel:
        blocks = blocks[:1]
    return blocks.reshape(*blocks.shape, *(1,) * (len(shape) - 2))
