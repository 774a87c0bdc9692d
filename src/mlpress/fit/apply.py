"""The work on one weight: a pure function of a picklable job, so that any executor can run it anywhere."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from mlpress.encoding import Encoding, size_of
from mlpress.errors import NonFiniteWeightError, NotApplicableError
from mlpress.fit.aside import encoding_aside
from mlpress.fit.error import squared_error_of
from mlpress.fit.layout import Layout
from mlpress.fit.palettize import palettize
from mlpress.fit.prune import prune
from mlpress.fit.quantize import quantize
from mlpress.recipe import Palettize, Prune, Stage, stage_name


class Evidence(Protocol):
    """What samples say about a weight, and the solvers that go by it."""

    def apply(self, stage: Stage, encoding: Encoding, layout: Layout) -> Encoding:
        """Applies a stage with a method that takes samples.

        Raises:
            NotApplicableError: The stage does not fit the weight.
            NonFiniteWeightError: The weight holds NaN or infinity.
        """

    def error(self, weight: Encoding, fitted: Encoding) -> tuple[float, float]:
        """Returns squared error and squared signal as the samples count them."""


@dataclass(frozen=True, slots=True)
class Job:
    """A weight and what to do to it.

    Attributes:
        encoding: How it is stored now; decodes to floats.
        stages: What to do, in order.
        layout: Roles of its axes.
        evidence: What samples say about it, or why they say nothing; for stages with a method that asks.
    """

    encoding: Encoding
    stages: tuple[Stage, ...]
    layout: Layout
    evidence: Evidence | str = "there are no samples"


@dataclass(frozen=True, slots=True)
class Fitted:
    """A compressed weight.

    Attributes:
        encoding: How it is stored now.
        squared_error: Sum over all elements of the squared difference to the weight before the job.
        squared_signal: Sum of the squares of the weight before the job.
        on_samples: Both as samples count them, if there are any.
    """

    encoding: Encoding
    squared_error: float
    squared_signal: float
    on_samples: tuple[float, float] | None = None


def run(job: Job) -> Fitted | str:
    """Does a job; returns the reason if one of its stages cannot be applied to the weight.

    All stages approximate the weight as it was before the first, so a later stage makes up for an earlier
    one. What a stage made by samples takes the place of the weight for those after it: it moves weights on
    purpose.
    """
    encoding = reference = job.encoding
    if not size_of(encoding):
        return f"{stage_name(job.stages[0])}: it has no elements"
    for number, stage in enumerate(job.stages):
        try:
            if number:
                encoding = encoding_aside(encoding)
            if stage.method is None:
                encoding = _apply(stage, encoding, job.layout, reference)
            elif isinstance(job.evidence, str):
                return f"{stage_name(stage)}: {job.evidence}"
            else:
                encoding = reference = job.evidence.apply(stage, encoding, job.layout)
        except (NotApplicableError, NonFiniteWeightError) as reason:
            return f"{stage_name(stage)}: {reason}"
    error, signal = squared_error_of(job.encoding, encoding)
    if not math.isfinite(error):
        return f"{stage_name(job.stages[-1])}: its largest values would overflow {encoding.dtype}"
    seen = None if isinstance(job.evidence, str) else job.evidence.error(job.encoding, encoding)
    return Fitted(encoding, error, signal, seen)


def _apply(stage: Stage, encoding: Encoding, layout: Layout, reference: Encoding) -> Encoding:
    if isinstance(stage, Prune):
        return prune(stage, encoding, layout)
    if isinstance(stage, Palettize):
        return palettize(stage, encoding, layout)
    return quantize(stage, encoding, layout, reference)
