"""Pruning: which weights go, and the tree that stores the others."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from mlpress import kernels
from mlpress.bits import UINT1, Tensor
from mlpress.encoding import (
    Affine,
    Dense,
    Encoding,
    Lut,
    Scatter,
    Sparse,
    decode_rows,
    row_ranges,
    size_of,
    to_vectors,
)
from mlpress.errors import MlpressError, NotApplicableError
from mlpress.fit import encoded_masks
from mlpress.fit.layout import Layout
from mlpress.recipe import Prune

Array = npt.NDArray[Any]


def prune(stage: Prune, encoding: Encoding, layout: Layout) -> Encoding:
    """Drops weights of any encoding, keeping how the others are stored.

    Zeros that the weight already has are dropped too; a pruned weight can only lose more.

    Args:
        stage: What to drop.
        encoding: A dense encoding of floats.
        layout: Axes of the weight.

    Raises:
        NotApplicableError: The pattern does not fit the weight or its encoding.
        NonFiniteWeightError: The weight holds NaN or infinity.
    """
    if stage.is_structured and not layout.prunable_in_patterns:
        raise NotApplicableError("block and n:m sparsity are for conv and linear weights")
    # What has been decoded is gone before its parts are gathered.
    mask = Tensor(UINT1, encoding.shape, _kept(stage, encoding).data)
    return Scatter(keep(encoding, mask))


def _kept(stage: Prune, encoding: Encoding) -> Array:
    """Returns the packed mask of the weights that stay."""
    try:
        if stage.threshold is not None:
            return _kept_above(encoding, stage.threshold, stage.minimum_sparsity)
        if stage.sparsity is not None and stage.block_size is None:
            return encoded_masks.magnitude_mask(encoding, stage.sparsity)
        if stage.n_m_ratio is not None:
            return encoded_masks.n_m_mask(encoding, *stage.n_m_ratio, stage.axis)
        assert stage.sparsity is not None
        assert stage.block_size is not None
        return encoded_masks.block_mask(encoding, stage.sparsity, stage.block_size, stage.axis)
    except MlpressError:
        raise
    except ValueError as error:
        raise NotApplicableError(str(error)) from error


def _kept_above(encoding: Encoding, threshold: float, minimum_sparsity: float) -> Array:
    kept = encoded_masks.threshold_mask(encoding, threshold)
    sparsity = 1 - kernels.popcount(kept) / size_of(encoding)
    if sparsity < minimum_sparsity:
        raise NotApplicableError(
            f"only {sparsity:.1%} of it would be zero; minimum_sparsity is {minimum_sparsity:.1%}"
        )
    return kept


def keep(encoding: Encoding, mask: Tensor) -> Encoding:
    """Returns the masked encoding of the elements where `mask` is 1.

    Args:
        encoding: What stores them now, dense or masked.
        mask: uint1, the shape of the encoding; its ones are a subset of those that the encoding stores.

    Raises:
        NotApplicableError: The mask cuts through vectors that share an index.
    """
    match encoding:
        case Dense(values):
            return _gather(values, mask)
        case Sparse(wider, values):
            dense = kernels.scatter_mask(values.numpy(), packed_bits(wider), wider.size)
            return _gather(Tensor.from_numpy(dense.reshape(wider.shape), values.dtype), mask)
        case Affine(data, scale, offset):
            return Affine(keep(data, mask), scale, offset)
        case Lut(indices, table, axis):
            if axis is not None:
                mask = mask_of_vectors(mask, axis, encoding.vector_size)
            return Lut(keep(indices, mask), table, axis)
        case Scatter(source):
            return keep(source, mask)


def mask_of_vectors(mask: Tensor, axis: int, length: int) -> Tensor:
    """Returns the mask of whole vectors of `length` elements along `axis`.

    Raises:
        NotApplicableError: A vector is kept in part.
    """
    kept = []
    for start, stop in row_ranges(Dense(mask), together=length if axis == 0 else 1):
        vectors = to_vectors(decode_rows(Dense(mask), start, stop), axis, length)
        first = vectors[..., 0]
        if (vectors != first[..., None]).any():
            raise NotApplicableError(
                f"its mask cuts through vectors of {length} along axis {axis}, which can only be kept or "
                f"dropped whole: prune with block_size={length}, dim={axis}"
            )
        kept.append(first)
    return Tensor.from_numpy(np.concatenate(kept), UINT1)


def packed_bits(mask: Tensor) -> npt.NDArray[np.uint8]:
    """Returns the bytes of a mask as the kernels take them."""
    return np.frombuffer(mask.buffer, np.uint8)


def _gather(values: Tensor, mask: Tensor) -> Sparse:
    flat = np.ascontiguousarray(values.numpy()).reshape(-1)
    return Sparse(mask, Tensor.from_numpy(kernels.gather_mask(flat, packed_bits(mask)), values.dtype))
