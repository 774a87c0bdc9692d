"""Palettization of float32 weights many times faster, by clustering them rounded to float16."""

from __future__ import annotations

import math

import numpy as np
import torch

from mlpress.bits import FLOAT32, Tensor
from mlpress.encoding import Dense, Encoding, Lut, Scatter, Sparse, decode
from mlpress.fit.apply import Fitted, Job, run
from mlpress.nn.arrays import Array
from mlpress.nn.leaves import dense
from mlpress.recipe import Palettize

_MOST_BITS = 6
_PART = 1 << 16
_EXPONENT = 10  # of the largest magnitude, which leaves all of float16's small numbers to the others


def run_halved(job: Job) -> Fitted | str:
    """Does a job; scalar palettes of float32 weights are fitted to the weights rounded to float16.

    float16 has few values, so that exact k-means of these takes a fraction of the time. Rounding changes a
    weight by 2^-12 of it at most, far less than palettization does: up to 6 bits, which is where it is done,
    the squared error is within 0.1 % of the optimum. Other jobs are done by `mlpress.fit.apply.run`.
    """
    source = job.encoding.source if isinstance(job.encoding, Scatter) else job.encoding
    (stage, *others) = job.stages
    if others or not isinstance(stage, Palettize) or not _is_simple(stage):
        return run(job)
    if not isinstance(source, (Dense, Sparse)) or source.dtype != FLOAT32:
        return run(job)
    values = source.values.numpy()
    largest = max(float(values.max(initial=0)), -float(values.min(initial=0)))
    if not 0 < largest < math.inf:
        return run(job)
    # A power of two: the table is brought back without rounding.
    power = _EXPONENT - math.frexp(largest)[1]
    found = run(Job(_halved(source, power), job.stages, job.layout))
    if isinstance(found, str):
        return found
    palette = found.encoding.source if isinstance(found.encoding, Scatter) else found.encoding
    assert isinstance(palette, Lut)
    table = np.ldexp(decode(palette.table).astype(np.float32), -power)
    lut = Lut(palette.indices, dense(table))
    unit = 2.0**-power
    return Fitted(
        Scatter(lut) if lut.masked else lut, found.squared_error * unit**2, found.squared_signal * unit**2
    )


def _is_simple(stage: Palettize) -> bool:
    few = stage.nbits is not None and stage.nbits <= _MOST_BITS
    return few and stage.cluster_dim == 1 and not stage.per_channel_scale


def _halved(source: Dense | Sparse, power: int) -> Encoding:
    values = source.values.numpy()
    halves = Tensor.from_numpy(_scaled(values.reshape(-1), power).reshape(values.shape))
    return Scatter(Sparse(source.mask, halves)) if isinstance(source, Sparse) else Dense(halves)


def _scaled(values: Array, power: int) -> Array:
    """Returns float32 values times a power of two as float16; a part at a time, which stays in the cache."""
    halves = torch.empty(values.size, dtype=torch.float16)
    scaled = np.empty(min(_PART, values.size), np.float32)
    for start in range(0, values.size, _PART):
        part = values[start : start + _PART]
        into = scaled[: part.size]
        if abs(power) < 120:
            np.multiply(part, np.float32(2.0**power), out=into)
        else:
            np.ldexp(part, power, out=into)
        halves[start : start + _PART].copy_(torch.from_numpy(into))  # several times faster than NumPy's
    return halves.numpy()
