"""Streams samples through a model and sees the values inside."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from mlpress.calibration.estimators import Estimator
from mlpress.calibration.observers import Observer
from mlpress.calibration.samples import Progress, Samples, steps
from mlpress.models import MLModel
from mlpress.passes.activations import Range
from mlpress.recipe import Quantize


def measure(
    model: MLModel,
    wanted: Mapping[str, Quantize],
    samples: Samples,
    estimator: Estimator,
    progress: Progress | None = None,
) -> dict[str, Range]:
    """Runs every sample through the function in use, once, and returns the ranges of values inside.

    One sample is in memory at a time, and of the tensors nothing but an observer for each value.

    Args:
        model: Is not changed.
        wanted: Names of values, and how they will be quantized.
        samples: Inputs by name, as `MLModel.predict` takes them. A list of such dictionaries is a sequence: a
            state is made at its start and lives until its end.
        estimator: How ranges come from what is seen.
        progress: Called as ``progress(done, total, name)`` after each sample.

    Returns:
        A range for each of `wanted`, those left out that took NaN or infinity, or had no elements.

    Raises:
        MlpressError: There are no samples, one does not fit the model or holds NaN; PyTorch is not installed.
        UnsupportedModelError: The program has operators that cannot be run; all are listed.
        TypeError: A sample is neither a dictionary nor a list of them.
    """
    observers = {name: estimator.observer() for name in wanted}
    broken: set[str] = set()
    for taps in values_inside(model, samples, progress):
        _see(taps, observers, broken)
    return {
        name: estimator.range(observers[name], stage)
        for name, stage in wanted.items()
        if name not in broken and math.isfinite(observers[name].low)
    }


def values_inside(
    model: MLModel, samples: Samples, progress: Progress | None = None
) -> Iterator[Iterator[Any]]:
    """Runs every sample through the function in use, once; yields what is inside, a run at a time.

    The `mlpress.runtime.values.Tap`s of a run are to be read before the next. One sample is in memory at a
    time.

    Args:
        model: Is not changed.
        samples: As for `measure`.
        progress: Called as ``progress(done, total, name)`` after each sample.

    Raises:
        MlpressError: There are no samples, one does not fit the model or holds NaN; PyTorch is not installed.
        UnsupportedModelError: The program has operators that cannot be run; all are listed.
        TypeError: `samples` cannot be iterated over, or a sample is neither a dictionary nor a list of them.
    """
    for arrays, state in steps(model, samples, progress):
        yield model.predictor.runner.values(arrays, state)


def _see(taps: Iterator[Any], observers: Mapping[str, Observer], broken: set[str]) -> None:
    for tap in taps:
        if tap.name in observers and tap.name not in broken and not observers[tap.name].see(tap.tensor):
            broken.add(tap.name)
