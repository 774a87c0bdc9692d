"""Constants in float16, and what does not fit there."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch

from mlpress import bits
from mlpress.bits import Tensor
from mlpress.encoding import Dense, Encoding, in_dtype
from mlpress.runtime.buffers import empty_apart

LARGEST: Final = 65504.0
"""Largest finite float16."""

SMALLEST: Final = 2.0**-24
"""Smallest float16 above 0."""


@dataclass(frozen=True, slots=True)
class Narrowed:
    """A constant in float16.

    Attributes:
        data: The constant; what is beyond the range is the largest number with the same sign.
        largest: Largest finite magnitude before, if it is beyond the range; else None.
        is_coarse: Whether it is one number, so small that float16 changes it by more than a hundredth.
    """

    data: Encoding
    largest: float | None
    is_coarse: bool


def narrowed(data: Encoding) -> Narrowed:
    """Returns a constant in float16; of a compressed one, the tables and scales are."""
    if not isinstance(data, Dense):
        return Narrowed(in_dtype(data, bits.FLOAT16), None, False)
    if data.values.dtype == bits.FLOAT16:
        return Narrowed(data, None, False)  # not a copy: models of float16 weights are large
    wide = data.values.numpy()
    if wide.size and not (wide.min() >= -LARGEST and wide.max() <= LARGEST):
        return _clamped(wide.astype(np.float32))
    half = _half(wide)
    is_coarse = wide.size == 1 and abs(float(wide.item()) - float(half.item())) > 0.01 * abs(wide.item())
    return Narrowed(Dense(Tensor.from_numpy(half)), None, is_coarse)


def away_from_zero(data: Encoding) -> Encoding:
    """Returns a float16 constant in which 0 and -0 are the smallest numbers of their sign."""
    assert isinstance(data, Dense)
    half = data.values.numpy()
    smallest = np.copysign(np.float16(SMALLEST), half)
    return Dense(Tensor.from_numpy(np.where(half == 0, smallest, half)))


def _clamped(wide: npt.NDArray[np.float32]) -> Narrowed:
    """Infinities stay; finite numbers beyond the range become its largest."""
    beyond = np.isfinite(wide) & (np.abs(wide) > LARGEST)
    half = _half(np.where(beyond, np.sign(wide) * np.float32(LARGEST), wide))
    largest = float(np.abs(wide[beyond]).max()) if beyond.any() else None
    return Narrowed(Dense(Tensor.from_numpy(half)), largest, False)


def _half(array: npt.NDArray[Any]) -> npt.NDArray[np.float16]:
    if array.dtype != np.float32:
        return array.astype(np.float16)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the memory must not be written to; it is not
        wide = torch.from_numpy(array)
    half = empty_apart(wide.shape, dtype=torch.float16)
    return half.copy_(wide).numpy()  # faster than NumPy
