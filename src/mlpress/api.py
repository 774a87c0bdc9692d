"""Compress and decompress models: the functions behind every face of mlpress."""

from __future__ import annotations

from concurrent.futures import Executor
from typing import Any, NamedTuple

from mlpress import passes
from mlpress.models import MLModel, as_mlmodel
from mlpress.passes import Options, Progress, Report
from mlpress.recipe import Recipe, Stage, Step


class Compressed(NamedTuple):
    """A compressed model and what was done to each of its weights."""

    model: MLModel
    report: Report


def compress(
    model: Any,
    recipe: Recipe | Step | Stage,
    *,
    strict: bool = False,
    workers: int = 1,
    executor: Executor | None = None,
    progress: Progress | None = None,
) -> Compressed:
    """Compresses the weights of a model.

    A weight is compressed by all the stages that apply to it, or left bit for bit with the reason in the
    report.

    Args:
        model: An `MLModel` of mlpress or coremltools, or the path of a package. It is not changed.
        recipe: What to do: stages composed with ``>>``, or one stage.
        strict: Raise if a weight cannot be compressed as asked.
        workers: Weights that are worked on at a time; memory grows with it.
        executor: Runs the work instead of threads here, any `concurrent.futures.Executor`.
        progress: Called as ``progress(done, total, name)`` after each weight.

    Returns:
        The compressed model, which is not saved yet, and the report.

    Raises:
        LegalityError: The model's deployment target cannot express what the recipe asks for.
        RecipeError: The recipe contradicts itself on a constant.
        StrictError: With `strict`, a weight could not be compressed as asked.
        UnsupportedModelError: The model is no mlprogram.
    """
    options = Options(strict=strict, workers=workers, executor=executor, progress=progress)
    return compress_with(model, Recipe.of(recipe), options)


def compress_with(model: Any, recipe: Recipe, options: Options) -> Compressed:
    """Like `compress`, with all options as one value."""
    source = as_mlmodel(model)
    program, report = passes.compress(source.program, recipe, options)
    return Compressed(source.with_program(program), report)


def decompress(model: Any) -> MLModel:
    """Makes every weight dense again.

    Args:
        model: An `MLModel` of mlpress or coremltools, or the path of a package. It is not changed.
    """
    source = as_mlmodel(model)
    return source.with_program(passes.decompress(source.program))
