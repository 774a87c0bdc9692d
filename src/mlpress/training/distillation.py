"""Fine-tuning without labels: a compressed model learns to do what the model itself does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from mlpress.api import Compressed
from mlpress.calibration import Progress, Samples
from mlpress.calibration.samples import steps, with_decoded_weights
from mlpress.calibration.weights.outputs import Compared
from mlpress.errors import MlpressError
from mlpress.models import as_mlmodel
from mlpress.nn.training.schedules import PruningScheduler
from mlpress.recipe import Recipe, Stage, Step
from mlpress.runtime import Runner, State
from mlpress.training.preparation import trainable


def fine_tune(
    model: Any,
    recipe: Recipe | Step | Stage,
    data: Samples,
    *,
    epochs: int = 1,
    batch: int = 8,
    learning_rate: float = 1e-4,
    schedule: PruningScheduler | None = None,
    strict: bool = False,
    progress: Progress | None = None,
) -> Compressed:
    """Compresses a model and trains it, in compressed form, to give the outputs that it gave before.

    The loss is the squared error of each output, of probabilities that of their logarithms, over its mean
    square (distillation of the model from itself), so samples need no labels; for a loss of your own see
    `trainable`. The optimizer is Adam.

    Args:
        model: An `MLModel` of mlpress or coremltools, or the path of a package. It is not changed.
        recipe: As for `trainable`.
        data: Samples as `compress` takes them; for several epochs something that can be read again.
        epochs: How often to go through them.
        batch: Runs after which the optimizer takes a step.
        learning_rate: Of the optimizer.
        schedule: As for `trainable`; its steps are those of the optimizer.
        strict: Raise if a weight cannot be trained as asked.
        progress: Called as ``progress(done, total, name)`` after each sample.

    Returns:
        The model, which is not saved yet, and the report.

    Raises:
        MlpressError: There are no samples, or one does not fit the model or holds NaN; an argument is not
            allowed; the loss is not finite; PyTorch is not installed.
        LegalityError, RecipeError, StrictError, UnsupportedModelError: As `trainable` and its `finish` do.
    """
    for name, value in (("epochs", epochs), ("batch", batch), ("learning_rate", learning_rate)):
        if value <= 0:
            raise MlpressError(f"{name} is {value}; it has to be more than 0")
    if epochs > 1 and isinstance(data, Iterator):
        raise MlpressError(f"data can be read once, and epochs is {epochs}; give a list")
    source = as_mlmodel(model)
    student = trainable(source, recipe, schedule=schedule)
    teacher = with_decoded_weights(source).predictor.runner
    optimizer = torch.optim.Adam([{"params": student.parameters()}], learning_rate)
    waiting = 0
    for _ in range(epochs):
        for loss in _losses(student.model.predictor.runner, teacher, steps(student.model, data, progress)):
            if not torch.isfinite(loss):
                raise MlpressError(
                    f"the loss is {float(loss.detach())}; a lower learning_rate than {learning_rate} may help"
                )
            (loss / batch).backward()  # type: ignore[no-untyped-call]
            waiting += 1
            if waiting == batch:
                _take_step(optimizer, student)
                waiting = 0
    if waiting:
        _take_step(optimizer, student)
    return student.finish(strict=strict)


def _take_step(optimizer: torch.optim.Optimizer, student: Any) -> None:
    optimizer.step()
    optimizer.zero_grad()
    student.step()


def _losses(
    student: Runner, teacher: Runner, runs: Iterator[tuple[dict[str, Any], State | None]]
) -> Iterator[Tensor]:
    compared = Compared(teacher.module)
    own: State | None = None
    theirs: State | None = None
    for arrays, state in runs:
        if state is not own:
            own, theirs = state, None if state is None else teacher.make_state()
        with torch.no_grad():
            targets = compared.of(teacher.module(*teacher.prepare(arrays, theirs)))
        loss = _loss(compared.of(student.module(*student.prepare(arrays, state))), targets)
        if loss is not None:
            yield loss
        if state is not None:
            state.detach()


def _loss(outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> Tensor | None:
    parts = []
    for name, output in outputs.items():
        if output.requires_grad:
            target = targets[name]
            size = target.square().mean()
            parts.append((output - target).square().mean() / torch.where(size > 0, size, 1))
    return torch.stack(parts).sum() if parts else None
