"""From what was seen of a value to the range that integers shall cover."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from mlpress.calibration.observers import Extremes, Histogram, Observer
from mlpress.errors import MlpressError
from mlpress.passes.activations import Range
from mlpress.recipe import Quantize

Array = npt.NDArray[np.float64]


class Estimator(Protocol):
    """How ranges are found."""

    def observer(self) -> Observer:
        """Returns what is to see every tensor of one value."""

    def range(self, observer: Any, stage: Quantize) -> Range:
        """Returns the range of a value that `observer`, which this made, has seen."""


@dataclass(frozen=True, slots=True)
class MinMax:
    """From the least to the greatest number."""

    def observer(self) -> Extremes:
        return Extremes()

    def range(self, observer: Extremes, stage: Quantize) -> Range:
        """Returns the extremes."""
        return Range(observer.low, observer.high)


@dataclass(frozen=True, slots=True)
class Percentile:
    """Leaves out the same fraction of the numbers on both sides, so that a few outliers do not count.

    Attributes:
        percentile: Percentage of the numbers below the upper end of the range, and above its lower end: above
            50, at most 100.
    """

    percentile: float = 99.99

    def __post_init__(self) -> None:
        if not 50 < self.percentile <= 100:
            raise MlpressError(f"percentile is {self.percentile}; allowed: above 50, at most 100")

    def observer(self) -> Histogram:
        return Histogram()

    def range(self, observer: Histogram, stage: Quantize) -> Range:
        """Returns the percentiles, exact to the width of a bin of the histogram."""
        edges, counts = observer.bins()
        below = np.cumsum(counts)
        outside = (1 - self.percentile / 100) * below[-1]
        low = max(float(edges[np.searchsorted(below, outside, side="right")]), observer.low)
        high = min(float(edges[np.searchsorted(below, below[-1] - outside) + 1]), observer.high)
        return Range(low, max(low, high))


@dataclass(frozen=True, slots=True)
class MeanSquaredError:
    """The range of least squared error after rounding and clipping, as far as a histogram tells.

    Searches over fractions of the extremes: of both at once for a symmetric stage, else of one after the
    other.
    """

    def observer(self) -> Histogram:
        return Histogram()

    def range(self, observer: Histogram, stage: Quantize) -> Range:
        """Returns the best range for the integers of `stage`."""
        edges, counts = observer.bins()
        held = counts > 0
        search = _Search((edges[:-1] + edges[1:])[held] / 2, counts[held].astype(np.float64), stage)
        low, high = min(observer.low, 0.0), max(observer.high, 0.0)
        if stage.mode == "linear_symmetric":
            greatest = max(-low, high)
            return Range(*search.best([(-greatest * part, greatest * part) for part in _PARTS]))
        best = low, high
        for _ in range(_ROUNDS):
            best = search.best([(best[0], high * part) for part in _PARTS])
            best = search.best([(low * part, best[1]) for part in _PARTS])
        return Range(*best)


_PARTS: Final = np.arange(128, 0, -1) / 128
"""Fractions of the extremes that are tried, the whole first: it wins where others are no better."""

_ROUNDS: Final = 2
"""How often each end is searched while the other stays."""


@dataclass(frozen=True, slots=True)
class _Search:
    values: Array
    counts: Array
    stage: Quantize

    def best(self, candidates: list[tuple[float, float]]) -> tuple[float, float]:
        errors = [self._error(low, high) for low, high in candidates]
        low, high = candidates[int(np.argmin(errors))]
        return float(low), float(high)

    def _error(self, low: float, high: float) -> float:
        """Returns the sum of squares of what rounding to the integers between `low` and `high` loses."""
        steps = self.stage.high - self.stage.low
        scale = (high - low) / steps
        if scale == 0:
            return float(self.counts @ self.values**2)
        zero = np.rint(-low / scale)
        levels = np.clip(np.rint(self.values / scale) + zero, 0, steps)
        return float(self.counts @ (self.values - (levels - zero) * scale) ** 2)
