"""The same inputs through a model and its reference, and how far apart the results are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import Any

from mlpress.errors import MlpressError
from mlpress.models import Interface, MLModel, as_mlmodel
from mlpress.verification.index_bounds import common_bounds
from mlpress.verification.inner_values import InnerValues
from mlpress.verification.pairing import check_interfaces, pair, same_label
from mlpress.verification.random_inputs import random_inputs
from mlpress.verification.report import Verification
from mlpress.verification.sides import ModelSide, Sample, Side, is_module
from mlpress.verification.sums import Sums

Progress = Callable[[int, int | None, str], None]
"""Takes how many samples are done, of how many (None if that is not known), and the name of the last."""


def verify(
    reference: Any,
    model: Any,
    samples: Iterable[Sample | Sequence[Sample]] | None = None,
    *,
    per_op: bool = False,
    count: int = 8,
    seed: int = 0,
    progress: Progress | None = None,
) -> Verification:
    """Runs the same inputs through two models and measures how far the second is from the first.

    A torch module takes the inputs by position, in the order of the model (floats as float32, integers as
    int64), in evaluation mode; its mode and its buffers are put back at the end. Its outputs, flattened, go
    with those of the model by name if it has all these names, else by order.

    Args:
        reference: What is right: an `MLModel` of mlpress or coremltools, the path of a package, or a torch
            module.
        model: What is compared with it, likewise.
        samples: Inputs by name, as `MLModel.predict` takes them; read one at a time. A list of such
            dictionaries is a sequence: a state is made at its start and lives until its end. If not given,
            inputs are drawn from the model's description: normal floats, integers within the tables they look
            up (else 0 or 1), random pixels; the default shapes first, then others that are allowed.
        per_op: Also compares the values inside that both programs have under one name and the same shape;
            values inside nested blocks are left out. Each sample runs twice. For two Core ML models.
        count: How many inputs to draw.
        seed: For drawing; the same inputs each time.
        progress: Called as ``progress(done, total, name)`` after each sample; `total` is None if that is not
            known.

    Returns:
        A row for each output, and for each inner value if asked for. It prints as a table.

    Raises:
        MlpressError: The models have different inputs or outputs; there are no samples, or one does not fit;
            two torch modules are given without samples; `count` is below 1; per-operation rows are asked for
            with a torch module.
        UnsupportedModelError: A program has operators that cannot be run; all are listed.
        TypeError: An argument, or a sample, has the wrong type.
    """
    if isinstance(samples, Mapping) or not isinstance(samples, Iterable | None):
        raise TypeError(
            f"samples is a {type(samples).__name__}; allowed: an iterable of dictionaries of inputs"
        )
    models = [each if is_module(each) else as_mlmodel(each) for each in (reference, model)]
    interfaces = [each.interface if isinstance(each, MLModel) else None for each in models]
    if interfaces[0] is not None and interfaces[1] is not None:
        check_interfaces(interfaces[0], interfaces[1])
    given: Iterable[Sample | Sequence[Sample]]
    total: int | None
    with ExitStack() as stack:
        ours = stack.enter_context(_side(models[0], interfaces[1]))
        theirs = stack.enter_context(_side(models[1], interfaces[0]))
        run = _Run(ours, theirs, per_op)
        if samples is None:
            given, total = _drawn(ours, theirs, count, seed), count
        else:
            given, total = samples, len(samples) if isinstance(samples, Sized) else None
        for sample in given:
            run.sequence(sample)
            if progress is not None:
                progress(run.sequences, total, f"sample {run.sequences}")
    return run.result()


class _Run:
    """A verification under way."""

    def __init__(self, reference: Side, model: Side, per_op: bool) -> None:
        self.sequences = 0
        self._reference, self._model = reference, model
        self._samples = 0
        self._outputs: dict[str, Sums] = {}
        self._labels: list[bool] = []
        self._inner = _inner_values(reference, model) if per_op else None

    def sequence(self, given: Sample | Sequence[Sample]) -> None:
        """Runs the steps of a sequence, or a sample alone."""
        self._reference.start()
        self._model.start()
        for sample in _steps(given):
            self._step(sample)
        self.sequences += 1

    def result(self) -> Verification:
        if not self._samples:
            raise MlpressError("there are no samples to verify with")
        return Verification(
            self._samples,
            tuple(sums.row(name) for name, sums in self._outputs.items()),
            sum(self._labels) / len(self._labels) if self._labels else None,
            () if self._inner is None else tuple(self._inner.rows()),
        )

    def _step(self, sample: Sample) -> None:
        if self._inner is not None:
            self._inner.add(sample)
        reference, model = self._reference(sample), self._model(sample)
        pairs = pair(reference, model)
        for name, arrays in pairs.items():
            self._outputs.setdefault(name, Sums()).add(*arrays)
        same = same_label(reference, model, pairs)
        if same is not None:
            self._labels.append(same)
        self._samples += 1


def _side(model: Any, other: Interface | None) -> AbstractContextManager[Side]:
    if isinstance(model, MLModel):
        return nullcontext(ModelSide(model))
    from mlpress.verification.torch_side import evaluated

    return evaluated(model, other)


def _inner_values(reference: Side, model: Side) -> InnerValues:
    if isinstance(reference, ModelSide) and isinstance(model, ModelSide):
        return InnerValues(reference, model)
    raise MlpressError(
        "per_op compares values by their names in two programs, and a torch module has none: "
        "allowed are two Core ML models"
    )


def _drawn(reference: Side, model: Side, count: int, seed: int) -> Iterator[Sample]:
    described = [side for side in (model, reference) if isinstance(side, ModelSide)]
    if not described:
        raise MlpressError("two torch modules describe no inputs to draw: samples are needed")
    if count < 1:
        raise MlpressError(f"count is {count}; allowed: 1 or more")
    bounds = common_bounds(side.function for side in described)
    return random_inputs(described[0].interface, described[-1].interface, bounds, count, seed)


def _steps(given: Sample | Sequence[Sample]) -> Sequence[Sample]:
    if isinstance(given, Mapping):
        return (given,)
    if isinstance(given, list | tuple) and all(isinstance(step, Mapping) for step in given):
        return given
    raise TypeError(
        f"a sample is a {type(given).__name__}; allowed: a dictionary of inputs, or a list of them"
    )
