"""How far apart two arrays are, over any number of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mlpress.passes.report import snr_db
from mlpress.verification.rows import Row


@dataclass(slots=True)
class Sums:
    """Sums over all arrays that were added, in float64.

    Elements that are not finite in either array do not go into the sums; they are counted.

    Attributes:
        elements: Number of elements.
        signal: Sum of squares of the reference.
        power: Sum of squares of the other array.
        product: Sum of products of both.
        noise: Sum of squared differences.
        largest: Largest absolute difference.
        nonfinite_reference: Elements of the reference that are NaN or infinite.
        nonfinite_model: Such elements of the other array.
        nonfinite_differences: Elements that are not finite in one or both, and not the same.
    """

    elements: int = 0
    signal: float = 0.0
    power: float = 0.0
    product: float = 0.0
    noise: float = 0.0
    largest: float = 0.0
    nonfinite_reference: int = 0
    nonfinite_model: int = 0
    nonfinite_differences: int = 0

    def add(self, reference: npt.NDArray[Any], value: npt.NDArray[Any]) -> None:
        """Adds an array and its reference, both of one shape."""
        ours, theirs = (np.asarray(array, np.float64).ravel() for array in (reference, value))
        self.elements += ours.size
        finite = np.isfinite(ours), np.isfinite(theirs)
        both = finite[0] & finite[1]
        if not both.all():
            same = (ours == theirs) | (np.isnan(ours) & np.isnan(theirs))
            self.nonfinite_reference += int(np.count_nonzero(~finite[0]))
            self.nonfinite_model += int(np.count_nonzero(~finite[1]))
            self.nonfinite_differences += int(np.count_nonzero(~both & ~same))
            ours, theirs = ours[both], theirs[both]
        difference = ours - theirs
        self.signal += float(ours @ ours)
        self.power += float(theirs @ theirs)
        self.product += float(ours @ theirs)
        self.noise += float(difference @ difference)
        self.largest = max(self.largest, float(np.abs(difference).max(initial=0.0)))

    def row(self, name: str) -> Row:
        """Returns what the sums say about the value called `name`."""
        broken = self.nonfinite_differences > 0
        return Row(
            name=name,
            elements=self.elements,
            snr_db=-math.inf if broken else snr_db(self.noise, self.signal),
            cosine=None if broken else self._cosine(),
            max_abs_error=math.inf if broken else self.largest,
            relative_error=math.inf if broken else self._relative_error(),
            nonfinite_reference=self.nonfinite_reference,
            nonfinite_model=self.nonfinite_model,
            nonfinite_differences=self.nonfinite_differences,
        )

    def _cosine(self) -> float | None:
        if self.noise == 0:
            return 1.0
        lengths = math.sqrt(self.signal) * math.sqrt(self.power)
        # Rounding may put it past the ends.
        return max(-1.0, min(1.0, self.product / lengths)) if lengths else None

    def _relative_error(self) -> float:
        if self.noise == 0:
            return 0.0
        return math.sqrt(self.noise / self.signal) if self.signal else math.inf
