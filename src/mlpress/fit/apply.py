"""The work on one weight: a pure function of a picklable job, so that any executor can run it anywhere."""

from __future__ import annotations

import math
from dataclasses import dataclass

from mlpress.encoding import Encoding, size_of
from mlpress.errors import NonFiniteWeightError, NotApplicableError
from mlpress.fit.error import squared_error_of
from mlpress.fit.layout import Layout
from mlpress.fit.palettize import palettize
from mlpress.fit.prune import prune
from mlpress.fit.quantize import quantize
from mlpress.recipe import Palettize, Prune, Stage, stage_name


@dataclass(frozen=True, slots=True)
class Job:
    """A weight and what to do to it.

    Attributes:
        encoding: How it is stored now; decodes to floats.
        stages: What to do, in order.
        layout: Roles of its axes.
    """

    encoding: Encoding
    stages: tuple[Stage, ...]
    layout: Layout


@dataclass(frozen=True, slots=True)
class Fitted:
    """A compressed weight.

    Attributes:
        encoding: How it is stored now.
        squared_error: Sum over all elements of the squared difference to the weight before the job.
        squared_signal: Sum of the squares of the weight before the job.
    """

    encoding: Encoding
    squared_error: float
    squared_signal: float


def run(job: Job) -> Fitted | str:
    """Does a job; returns the reason if one of its stages cannot be applied to the weight.

    All stages approximate the weight as it was before the first, so a later stage makes up for an earlier
    one.
    """
    encoding = job.encoding
    if not size_of(encoding):
        return f"{stage_name(job.stages[0])}: it has no elements"
    for stage in job.stages:
        try:
            encoding = _apply(stage, encoding, job)
        except (NotApplicableError, NonFiniteWeightError) as reason:
            return f"{stage_name(stage)}: {reason}"
    error, signal = squared_error_of(job.encoding, encoding)
    if not math.isfinite(error):
        return f"{stage_name(job.stages[-1])}: its largest values would overflow {encoding.dtype}"
    return Fitted(encoding, error, signal)


def _apply(stage: Stage, encoding: Encoding, job: Job) -> Encoding:
    if isinstance(stage, Prune):
        return prune(stage, encoding, job.layout)
    if isinstance(stage, Palettize):
        return palettize(stage, encoding, job.layout)
    return quantize(stage, encoding, job.layout, job.encoding)
