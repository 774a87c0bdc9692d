"""Samples, one at a time, as the arrays that a model's program takes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mlpress.errors import MlpressError
from mlpress.models import MLModel

if TYPE_CHECKING:
    from mlpress.runtime import State

Samples = Iterable[Mapping[str, Any] | Sequence[Mapping[str, Any]]]
Progress = Callable[[int, int | None, str], None]
"""Takes how many samples are done, of how many (None if that is not known), and the name of the last."""


def steps(
    model: MLModel, samples: Samples, progress: Progress | None = None
) -> Iterator[tuple[dict[str, npt.NDArray[Any]], State | None]]:
    """Yields the inputs of each run and the state that it has; a run is over when the next is asked for.

    Args:
        model: Takes the samples.
        samples: Inputs by name, as `MLModel.predict` takes them. A list of such dictionaries is a sequence: a
            state is made at its start and lives until its end.
        progress: Called as ``progress(done, total, name)`` after each sample.

    Raises:
        MlpressError: There are no samples, one does not fit the model or holds NaN; PyTorch is not installed.
        UnsupportedModelError: The program has operators that cannot be run; all are listed.
        TypeError: A sample is neither a dictionary nor a list of them.
    """
    require_samples(samples)
    total = len(samples) if isinstance(samples, Sized) else None
    done = 0
    for number, sample in enumerate(samples):
        yield from _runs(model, number, sample)
        done = number + 1
        if progress is not None:
            progress(done, total, f"sample {done}")
    if not done:
        raise MlpressError("there are no samples")


def require_samples(samples: Any) -> None:
    """Checks that samples can be iterated over, and are not a single one.

    Raises:
        TypeError: They are something else.
    """
    if isinstance(samples, Mapping | str) or not isinstance(samples, Iterable):
        raise TypeError(
            f"samples is a {type(samples).__name__}; allowed: an iterable of dictionaries of inputs"
        )


def _runs(
    model: MLModel, number: int, sample: Mapping[str, Any] | Sequence[Mapping[str, Any]]
) -> Iterator[tuple[dict[str, npt.NDArray[Any]], State | None]]:
    runs = (sample,) if isinstance(sample, Mapping) else sample
    if not isinstance(runs, list | tuple) or not all(isinstance(run, Mapping) for run in runs):
        raise TypeError(
            f"sample {number} is a {type(sample).__name__}; "
            f"allowed: a dictionary of inputs, or a list of them"
        )
    predictor = model.predictor
    state = predictor.runner.make_state() if predictor.runner.states else None
    for run in runs:
        try:
            arrays = predictor.arrays(run)
        except MlpressError as error:
            raise MlpressError(f"sample {number}: {error}") from error
        for name, array in arrays.items():
            if np.isnan(array).any():
                raise MlpressError(f"sample {number}: input {name!r} holds NaN")
        yield arrays, state


def with_decoded_weights(model: MLModel) -> MLModel:
    """Returns a model with a module of its own, whose parameters are the weights."""
    own = model.with_program(model.program)
    if own.run_options is not None:
        own.run_options = replace(own.run_options, weights="decoded", compile=False)
    return own
