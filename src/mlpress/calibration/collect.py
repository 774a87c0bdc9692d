"""Streams samples through a model and sees the values inside."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from typing import Any

import numpy as np

from mlpress.calibration.estimators import Estimator
from mlpress.calibration.observers import Observer
from mlpress.errors import MlpressError
from mlpress.models import MLModel
from mlpress.passes.activations import Range
from mlpress.recipe import Quantize

Samples = Iterable[Mapping[str, Any] | Sequence[Mapping[str, Any]]]
Progress = Callable[[int, int | None, str], None]
"""Takes how many samples are done, of how many (None if that is not known), and the name of the last."""


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
    total = len(samples) if isinstance(samples, Sized) else None
    done = 0
    for number, sample in enumerate(samples):
        for taps in _runs(model, number, sample):
            _see(taps, observers, broken)
        done = number + 1
        if progress is not None:
            progress(done, total, f"sample {done}")
    if not done:
        raise MlpressError("there are no samples to measure activations with")
    return {
        name: estimator.range(observers[name], stage)
        for name, stage in wanted.items()
        if name not in broken and math.isfinite(observers[name].low)
    }


def _see(taps: Iterator[Any], observers: Mapping[str, Observer], broken: set[str]) -> None:
    for tap in taps:
        if tap.name in observers and tap.name not in broken and not observers[tap.name].see(tap.tensor):
            broken.add(tap.name)


def _runs(
    model: MLModel, number: int, sample: Mapping[str, Any] | Sequence[Mapping[str, Any]]
) -> Iterator[Iterator[Any]]:
    """Yields the values inside for each step of a sample, to be read before the next."""
    steps = (sample,) if isinstance(sample, Mapping) else sample
    if not isinstance(steps, list | tuple) or not all(isinstance(step, Mapping) for step in steps):
        raise TypeError(
            f"sample {number} is a {type(sample).__name__}; "
            f"allowed: a dictionary of inputs, or a list of them"
        )
    predictor = model.predictor
    state = predictor.runner.make_state() if predictor.runner.states else None
    for step in steps:
        try:
            arrays = predictor.arrays(step)
        except MlpressError as error:
            raise MlpressError(f"sample {number}: {error}") from error
        for name, array in arrays.items():
            if np.isnan(array).any():
                raise MlpressError(f"sample {number}: input {name!r} holds NaN")
        yield predictor.runner.values(arrays, state)
