"""Integer tables for palettized weights, fitted to the weight and not to the table that there is."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from mlpress.bits import DType, Tensor, dtype_named
from mlpress.encoding import Affine, Blocks, Dense, Encoding, Lut, Sparse
from mlpress.errors import NotApplicableError
from mlpress.fit import affine
from mlpress.fit.groups import Groups, index_leaf_of_dense
from mlpress.fit.integer_search import Entries
from mlpress.fit.integer_table import IntegerTable, Rows, fit_integer_table, fit_integer_table_asymmetric
from mlpress.fit.scaled_integers import fit_scaled_integers
from mlpress.fit.tables import check_finite
from mlpress.recipe import Quantize

Array = npt.NDArray[Any]


def quantize_table(stage: Quantize, encoding: Lut | Affine, reference: Array) -> Encoding:
    """Replaces the float table of a palettized weight by integers with one scale.

    Entries are chosen on the integer grid and weights assigned anew, so that the error against `reference` is
    least. Where output channels have scales, the scale of the table goes into them. Tables of vectors keep
    their entries, rounded with the scale of least error.

    Args:
        stage: Integer type and mode.
        encoding: `Lut`, or `Affine` over it, with a table of floats; dense or masked.
        reference: The dense weight to approximate, float16 or float32.

    Raises:
        NonFiniteWeightError: The reference or a scale holds NaN or infinity.
        NotApplicableError: A table of vectors has scales behind it.
    """
    check_finite(reference)
    if isinstance(encoding, Affine):
        assert isinstance(encoding.data, Lut)
        if encoding.data.vector_axis is not None:
            raise NotApplicableError("it has scales behind a table of vectors")
        return _scaled(stage, encoding.data, _values(encoding.scale), reference)
    if encoding.vector_axis is not None:
        return _vectors(stage, encoding)
    found, indices = _refit(stage, encoding, reference)
    table = _integers(found.table.reshape(encoding.table.shape), stage)
    scale = np.full((1,) * (len(encoding.shape) + 2), found.scale)
    return Lut(indices, _affine(table, scale, _offset(stage, found.offset), dtype_named(stage.dtype)))


def _scaled(stage: Quantize, lut: Lut, scale: Array, reference: Array) -> Affine:
    leaf = lut.indices
    entries = Entries(lut.table.shape[-2], stage.low, stage.high)
    offset = stage.middle if stage.mode == "linear_symmetric" else None
    mask = leaf.mask if isinstance(leaf, Sparse) else None
    blocks = Blocks(leaf.shape, lut.table.shape[:-2])
    found = fit_scaled_integers(entries, offset, reference, mask, scale, blocks)
    table = _integers(found.table.reshape(lut.table.shape), stage)
    palette = Lut(index_leaf_of_dense(found.indices, leaf, leaf.dtype), Dense(table))
    return _affine(palette, found.scale, _offset(stage, found.offset), dtype_named(stage.dtype))


def _vectors(stage: Quantize, lut: Lut) -> Lut:
    entries = _values(lut.table)
    rows = np.ascontiguousarray(entries.reshape(1, -1))
    if stage.mode == "linear_symmetric":
        parameters = affine.search_symmetric(rows, stage.low, stage.high, stage.middle)
    else:
        parameters = affine.search_asymmetric(rows, stage.low, stage.high)
    codes = affine.quantize_rows_nearest(rows, parameters, stage.low, stage.high).reshape(entries.shape)
    scale = parameters.scale.reshape((1,) * entries.ndim)
    offset = None if parameters.zero_point is None else int(parameters.zero_point[0])
    table = _affine(_integers(codes, stage), scale, offset, dtype_named(stage.dtype))
    return Lut(lut.indices, table, lut.vector_axis)


def _refit(stage: Quantize, lut: Lut, reference: Array) -> tuple[IntegerTable, Dense | Sparse]:
    """Returns tables of integers for the groups of `lut`, and the leaf of new indices."""
    groups = Groups(Blocks(lut.indices.shape, lut.table.shape[:-2]))
    leaf = lut.indices
    assert isinstance(leaf, (Dense, Sparse))
    rows = (
        groups.kept_rows(reference, leaf.mask) if isinstance(leaf, Sparse) else groups.dense_rows(reference)
    )
    found = _fit(stage, rows, lut.table.shape[-2])
    return found, groups.index_leaf(found.indices, leaf, leaf.dtype)


def _fit(stage: Quantize, rows: Rows, size: int) -> IntegerTable:
    low, high = stage.low, stage.high
    if stage.mode == "linear_symmetric":
        return fit_integer_table(rows, size, low=low, high=high, offset=stage.middle)
    return fit_integer_table_asymmetric(rows, size, low=low, high=high)


def _integers(codes: Array, stage: Quantize) -> Tensor:
    return Tensor.from_numpy(codes.astype(stage.storage), dtype_named(stage.dtype))


def _offset(stage: Quantize, offset: int) -> int | None:
    return None if stage.mode == "linear_symmetric" and offset == 0 else offset


def _affine(data: Tensor | Lut, scale: Array, offset: int | None, dtype: DType) -> Affine:
    offsets = None if offset is None else np.full(scale.shape, offset, dtype.storage)
    return Affine(
        Dense(data) if isinstance(data, Tensor) else data,
        Dense(Tensor.from_numpy(scale)),
        None if offsets is None else Dense(Tensor.from_numpy(offsets, dtype)),
    )


def _values(encoding: Encoding) -> Array:
    assert isinstance(encoding, Dense)
    return encoding.values.numpy()
