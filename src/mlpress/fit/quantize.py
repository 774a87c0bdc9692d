"""Linear quantization of the values of any encoding, or of the table of a palettized one."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from mlpress import kernels
from mlpress.bits import Tensor, dtype_named
from mlpress.encoding import (
    Affine,
    Blocks,
    Dense,
    Encoding,
    Lut,
    Scatter,
    Sparse,
    decode,
    decode_rows,
    row_ranges,
)
from mlpress.errors import NotApplicableError
from mlpress.fit import affine
from mlpress.fit.layout import Layout
from mlpress.fit.quantize_table import quantize_table
from mlpress.recipe import Quantize

Array = npt.NDArray[Any]


def quantize(stage: Quantize, encoding: Encoding, layout: Layout, reference: Encoding) -> Encoding:
    """Quantizes what an encoding holds as floats: the values, or the table of a palettized weight.

    Args:
        stage: How.
        encoding: A dense encoding of floats.
        layout: Axes of the weight.
        reference: The weight that is to be approximated, a dense encoding of the same shape: tables are
            fitted to it anew.

    Raises:
        NotApplicableError: The weight is quantized already, or the blocks do not fit it.
        NonFiniteWeightError: The weight holds NaN or infinity.
    """
    match encoding:
        case Scatter(Sparse(_, values) as leaf) if values.dtype.is_float:
            return Scatter(_quantize_kept(stage, leaf, layout))
        case Scatter(source):
            return Scatter(_quantize_palette(stage, source, reference))
        case Dense(values) if values.dtype.is_float:
            blocks = Blocks(values.shape, block_counts(stage, values.shape, layout))
            codes, parameters = _codes(stage, np.ascontiguousarray(blocks.rows(values.numpy())))
            dense = Tensor.from_numpy(blocks.unrows(codes), dtype_named(stage.dtype))
            return _affine(Dense(dense), blocks.counts, [parameters])
        case _:
            return _quantize_palette(stage, encoding, reference)


def _quantize_palette(stage: Quantize, encoding: Encoding, reference: Encoding) -> Encoding:
    match encoding:
        case Lut(_, Dense(table)) | Affine(Lut(_, Dense(table)), Dense(), None) if table.dtype.is_float:
            if stage.granularity not in (None, "per_tensor"):
                raise NotApplicableError(
                    f"it is palettized: its table takes one scale (granularity per_tensor), "
                    f"not {stage.granularity}"
                )
            if isinstance(encoding, Affine) and stage.bits == 4:
                raise NotApplicableError(
                    f"it has a scale per channel behind its table, which can then be int8 or uint8, "
                    f"not {stage.dtype}"
                )
            return quantize_table(stage, encoding, decode(reference))
    raise NotApplicableError("it is quantized already")


def _quantize_kept(stage: Quantize, leaf: Sparse, layout: Layout) -> Affine:
    """Quantizes what a mask keeps, a range of rows at a time, so that the weight is never whole in memory."""
    blocks = Blocks(leaf.shape, block_counts(stage, leaf.shape, layout))
    dtype = dtype_named(stage.dtype)
    if blocks.count == 1 and leaf.values.size:
        # Zeros change neither the scale nor what it is searched for: they decode to zeros.
        codes, whole = _codes(stage, leaf.values.numpy()[None])
        return _affine(Sparse(leaf.mask, Tensor.from_numpy(codes[0], dtype)), blocks.counts, [whole])
    kept, parameters = [], []
    for start, stop in row_ranges(leaf, together=leaf.shape[0] // blocks.counts[0]):
        counts = (max(blocks.counts[0] * (stop - start) // leaf.shape[0], 1), *blocks.counts[1:])
        part = Blocks((stop - start, *leaf.shape[1:]), counts)
        rows = np.ascontiguousarray(part.rows(decode_rows(Scatter(leaf), start, stop)))
        codes, found = _codes(stage, rows)
        mask = kernels.pack(decode_rows(Dense(leaf.mask), start, stop).reshape(-1), 1)
        kept.append(kernels.gather_mask(part.unrows(codes).reshape(-1), mask))
        parameters.append(found)
    return _affine(
        Sparse(leaf.mask, Tensor.from_numpy(np.concatenate(kept), dtype)), blocks.counts, parameters
    )


def _codes(stage: Quantize, rows: Array) -> tuple[Array, affine.AffineParameters]:
    """Returns codes [B, n] of rows [B, n] of floats, and the rows' parameters."""
    low, high = stage.low, stage.high
    symmetric = stage.mode == "linear_symmetric"
    if stage.scales == "mse":
        if symmetric:
            parameters = affine.search_symmetric(rows, low, high, stage.middle)
        else:
            parameters = affine.search_asymmetric(rows, low, high)
        codes = affine.quantize_rows_nearest(rows, parameters, low, high)
    else:
        if symmetric:
            parameters = affine.symmetric_parameters(rows, low, high, stage.middle)
        else:
            parameters = affine.asymmetric_parameters(rows, low, high)
        codes = affine.quantize_rows(rows, parameters, low, high)
    return _finite_codes(codes, parameters), parameters


def _affine(
    data: Dense | Sparse, counts: tuple[int, ...], parameters: list[affine.AffineParameters]
) -> Affine:
    """Returns the encoding of codes with the parameters of their blocks, in order."""
    scale = np.concatenate([each.scale for each in parameters]).reshape(counts)
    zero_points = [each.zero_point for each in parameters if each.zero_point is not None]
    offset = np.concatenate(zero_points).reshape(counts) if zero_points else None
    return Affine(
        data,
        Dense(Tensor.from_numpy(scale)),
        None if offset is None else Dense(Tensor.from_numpy(offset, data.dtype)),
    )


def _finite_codes(codes: Array, parameters: affine.AffineParameters) -> Array:
    """Moves codes towards zero whose value would round to infinity, as the largest float16 weights' do."""
    limit = float(np.finfo(parameters.scale.dtype).max)
    if 255 * affine.largest(parameters.scale) <= limit:
        return codes
    with np.errstate(divide="ignore"):
        steps = np.floor(limit / parameters.scale[:, None].astype(np.float64))
    zero = 0 if parameters.zero_point is None else parameters.zero_point[:, None].astype(np.float64)
    return np.clip(codes, zero - steps, zero + steps).astype(codes.dtype)


def block_counts(stage: Quantize, shape: tuple[int, ...], layout: Layout) -> tuple[int, ...]:
    """Returns the number of blocks along each axis that have a scale each.

    Raises:
        NotApplicableError: The blocks do not divide the axes, or the axes have no roles.
    """
    rank = len(shape)
    if stage.granularity == "per_tensor":
        return (1,) * rank
    if stage.granularity == "per_block" and isinstance(stage.block_size, tuple):
        sizes = list(stage.block_size)
        if len(sizes) != rank:
            raise NotApplicableError(f"block_size {stage.block_size} has {len(sizes)} sizes for {rank} axes")
    else:
        sizes = [0] * rank
        sizes[layout.require_output_axis(rank)] = 1
        if stage.granularity == "per_block":
            assert isinstance(stage.block_size, int)
            sizes[layout.require_input_axis(rank)] = stage.block_size
    for axis, (size, whole) in enumerate(zip(sizes, shape, strict=True)):
        if size and whole % size:
            raise NotApplicableError(f"block size {size} does not divide the {whole} elements of axis {axis}")
    return tuple(whole // size if size else 1 for size, whole in zip(sizes, shape, strict=True))
