"""What is kept of the tensors of one value: a few numbers, however many there are."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from torch import Tensor

_BINS: Final = 2048
"""Bins on each side of zero; at least half of them are in use."""


class Observer(Protocol):
    """Sees every tensor of one value.

    Attributes:
        low: Least number so far; infinite before the first.
        high: Greatest number so far.
    """

    low: float
    high: float

    def see(self, tensor: Tensor) -> bool:
        """Takes `tensor` into account, unless it holds NaN or infinity; returns whether it did."""


class Extremes:
    """The least and the greatest number."""

    __slots__ = ("high", "low")

    def __init__(self) -> None:
        self.low, self.high = math.inf, -math.inf

    def see(self, tensor: Tensor) -> bool:
        """Takes `tensor` into account, unless it holds NaN or infinity; returns whether it did."""
        if not tensor.numel():
            return True
        low, high = (float(end) for end in tensor.aminmax())
        if not (math.isfinite(low) and math.isfinite(high)):
            return False
        self.low, self.high = min(self.low, low), max(self.high, high)
        return True


class Histogram:
    """Counts of numbers in bins of one width on both sides of zero; zeros apart, which are exact in any grid.

    When a number lies outside, the bins are made twice as wide by merging neighbours, so counts stay true.
    """

    __slots__ = ("_counts", "_extremes", "_limit", "_zeros")

    def __init__(self) -> None:
        self._extremes = Extremes()
        self._counts = np.zeros(2 * _BINS, np.int64)
        self._limit = 0.0
        self._zeros = 0

    @property
    def low(self) -> float:
        """Least number so far."""
        return self._extremes.low

    @property
    def high(self) -> float:
        """Greatest number so far."""
        return self._extremes.high

    def see(self, tensor: Tensor) -> bool:
        """Takes `tensor` into account, unless it holds NaN or infinity; returns whether it did."""
        if not self._extremes.see(tensor):
            return False
        others = tensor.masked_select(tensor != 0)  # indexing would make four indices for each number
        self._zeros += tensor.numel() - others.numel()
        if others.numel():
            self._widen(max(-self.low, self.high))
            bins = others.double().mul_(_BINS / self._limit).floor_().add_(_BINS).clamp_(0, 2 * _BINS - 1)
            counted = bins.long().bincount(minlength=2 * _BINS)
            self._counts += counted.cpu().numpy()
        return True

    def bins(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
        """Returns the edges of the bins, one more than bins, and how many numbers each holds.

        Zeros are in a bin of no width in the middle.
        """
        edges = np.linspace(-self._limit, self._limit, 2 * _BINS + 1)
        return np.insert(edges, _BINS, 0.0), np.insert(self._counts, _BINS, self._zeros)

    def _widen(self, reach: float) -> None:
        if not self._limit:
            self._limit = reach
        while self._limit < reach:
            merged: npt.NDArray[Any] = self._counts.reshape(-1, 2).sum(axis=1)
            self._counts = np.pad(merged, _BINS // 2)
            self._limit *= 2
