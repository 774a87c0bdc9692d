"""Weights without what they have learned, for packages that are handed on."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlpress import passes
from mlpress.bits import Tensor
from mlpress.encoding import Affine, Dense, Encoding, Lut, Scatter, Sparse
from mlpress.mil import with_constants
from mlpress.models import MLModel, as_mlmodel


def randomize_weights(mlmodel: Any) -> MLModel:
    """Replaces each weight of floats by random numbers, drawn anew at each call.

    A compressed weight stays compressed in the same way: its integers, indices, tables and scales become
    random; its mask stays.

    Args:
        mlmodel: A model of mlpress or coremltools, or the path of a package. It is not changed.

    Returns:
        The model with random weights, of the same size.
    """
    model = as_mlmodel(mlmodel)
    random = np.random.default_rng()
    made = {
        weight.constant: _randomized(weight.encoding, random)
        for weight in passes.weights(model.program)
        if weight.encoding.dtype.is_float
    }
    return model.with_program(with_constants(model.program, made))


def _randomized(encoding: Encoding, random: np.random.Generator) -> Encoding:
    match encoding:
        case Dense(values):
            return Dense(_drawn(values, random))
        case Sparse(mask, values):
            return Sparse(mask, _drawn(values, random))
        case Affine(data, scale, offset):
            drawn = None if offset is None else _randomized(offset, random)
            return Affine(_randomized(data, random), _randomized(scale, random), drawn)
        case Lut(indices, table, vector_axis):
            return Lut(_randomized(indices, random), _randomized(table, random), vector_axis)
        case Scatter(source):
            return Scatter(_randomized(source, random))


def _drawn(values: Tensor, random: np.random.Generator) -> Tensor:
    """Returns floats between 0 and 1, or integers of the whole range."""
    dtype = values.dtype
    if dtype.is_float:
        return Tensor.from_numpy(random.random(values.shape, np.float32).astype(dtype.storage), dtype)
    drawn = random.integers(dtype.low, dtype.high + 1, values.shape)
    return Tensor.from_numpy(drawn.astype(dtype.storage), dtype)
