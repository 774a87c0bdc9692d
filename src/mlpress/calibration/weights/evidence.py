"""What samples say about one weight, and the stages that go by it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from mlpress.calibration.weights.clustering import palettize_by_sensitivity
from mlpress.calibration.weights.dropping import drop_by_inputs
from mlpress.calibration.weights.matrices import Matrices
from mlpress.calibration.weights.rounding import round_by_inputs
from mlpress.encoding import Encoding, decode
from mlpress.fit.layout import Layout
from mlpress.recipe import Palettize, Prune, Stage

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class WeightEvidence:
    """What samples say about a weight.

    Attributes:
        moments: Sums ``X^T X`` over the inputs X of its operators, float32 [groups, columns, columns], or
            None.
        sensitivity: Sums of the squares of its gradients, float32, or None.
    """

    matrices: Matrices | None
    moments: Array | None = field(repr=False)
    sensitivity: Array | None = field(repr=False)

    def apply(self, stage: Stage, encoding: Encoding, layout: Layout) -> Encoding:
        """Applies a stage with a method that takes samples; see `mlpress.fit.apply.Evidence`."""
        if isinstance(stage, Palettize):
            assert self.sensitivity is not None
            return palettize_by_sensitivity(stage, encoding, layout, self.sensitivity)
        assert self.moments is not None
        assert self.matrices is not None
        if isinstance(stage, Prune):
            return drop_by_inputs(stage, encoding, layout, self.matrices, self.moments)
        return round_by_inputs(stage, encoding, layout, self.matrices, self.moments)

    def error(self, weight: Encoding, fitted: Encoding) -> tuple[float, float]:
        """Returns squared error and signal of the results of its operators, or weighted by sensitivity."""
        before = decode(weight).astype(np.float32)
        change = decode(fitted).astype(np.float32) - before
        return self._measured(change), self._measured(before)

    def _measured(self, values: Array) -> float:
        if self.moments is None or self.matrices is None:
            assert self.sensitivity is not None
            return float(np.einsum("i,i,i->", self.sensitivity.reshape(-1), *[values.reshape(-1)] * 2))
        parts = zip(self.matrices.split(values), self.moments, strict=True)
        return float(sum(np.sum((rows @ moments) * rows, dtype=np.float64) for rows, moments in parts))
