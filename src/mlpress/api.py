"""Compress and decompress models: the functions behind every face of mlpress."""

from __future__ import annotations

from concurrent.futures import Executor
from typing import Any, NamedTuple

from mlpress import calibration, passes
from mlpress.calibration import Estimator, MinMax, Samples
from mlpress.errors import RecipeError
from mlpress.models import MLModel, as_mlmodel
from mlpress.passes import Options, Progress, Report
from mlpress.passes.activations import ActivationReport, make_plan, quantize
from mlpress.recipe import Quantize, Recipe, Stage, Step


class Compressed(NamedTuple):
    """A compressed model and what was done to each of its weights."""

    model: MLModel
    report: Report


class Quantized(NamedTuple):
    """A model with activations in 8 bits, and what was done to each."""

    model: MLModel
    report: ActivationReport


def compress(
    model: Any,
    recipe: Recipe | Step | Stage,
    *,
    data: Samples | None = None,
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
        data: Samples for the stages with a method that asks for them (``sparse_gpt``, ``sensitive``,
            ``gptq``), as `quantize_activations` takes them: inputs by name, any iterable, read once and one
            at a time. The function in use is run on them, which needs PyTorch.
        strict: Raise if a weight cannot be compressed as asked.
        workers: Weights that are worked on at a time; memory grows with it.
        executor: Runs the work instead of threads here, any `concurrent.futures.Executor`.
        progress: Called as ``progress(done, total, name)`` after each weight.

    Returns:
        The compressed model, which is not saved yet, and the report.

    Raises:
        LegalityError: The model's deployment target cannot express what the recipe asks for.
        MlpressError: There are no samples, or one does not fit the model or holds NaN; PyTorch is not
            installed.
        RecipeError: The recipe contradicts itself on a constant, or needs samples that are not given, or
            samples are given that it does not need.
        StrictError: With `strict`, a weight could not be compressed as asked.
        UnsupportedModelError: The model is no mlprogram.
    """
    options = Options(strict=strict, workers=workers, executor=executor, progress=progress)
    return compress_with(model, Recipe.of(recipe), options, data)


def compress_with(model: Any, recipe: Recipe, options: Options, data: Samples | None = None) -> Compressed:
    """Like `compress`, with all options as one value."""
    if recipe.needs_data and data is None:
        raise RecipeError("a stage of the recipe has a method that takes samples; give data=")
    if data is not None and not recipe.needs_data:
        raise RecipeError(
            "data is given, and no stage takes samples; those that do are Prune(method='sparse_gpt'), "
            "Palettize(method='sensitive') and Quantize(method='gptq')"
        )
    source = as_mlmodel(model)
    evidence = None
    if data is not None:
        wanted = passes.asking(source.program, recipe, options)
        evidence = calibration.gather(source, wanted, data, options.progress)
    program, report = passes.compress(source.program, recipe, options, evidence)
    return Compressed(source.with_program(program), report)


def decompress(model: Any) -> MLModel:
    """Makes every weight dense again.

    Args:
        model: An `MLModel` of mlpress or coremltools, or the path of a package. It is not changed.
    """
    source = as_mlmodel(model)
    return source.with_program(passes.decompress(source.program))


def quantize_activations(
    model: Any,
    samples: Samples,
    rules: Recipe | Step | Stage | None = None,
    *,
    estimator: Estimator | None = None,
    strict: bool = False,
    progress: calibration.Progress | None = None,
) -> Quantized:
    """Passes activations of the function in use through 8-bit integers, with ranges measured on samples.

    Goes with any compression of the weights, before or after.

    Args:
        model: An `MLModel` of mlpress or coremltools, or the path of a package. It is not changed.
        samples: Inputs by name, as `MLModel.predict` takes them; any iterable, read once and one at a time. A
            list of such dictionaries is a sequence: a state is made at its start and lives until its end.
        rules: `Quantize` to int8 (the default) or uint8, with exceptions by type and name of operators: the
            inputs and results of ``add``, ``avg_pool``, ``conv``, ``linear`` and ``max_pool``.
            ``conv_transpose``, ``matmul`` and ``scaled_dot_product_attention`` are quantized if an exception
            asks for it.
        estimator: `MinMax` (the default), `Percentile` or `MeanSquaredError` of `mlpress.calibration`.
        strict: Raise if something that was asked for cannot be done.
        progress: Called as ``progress(done, total, name)`` after each sample; `total` is None if that is not
            known.

    Returns:
        The model, which is not saved yet, and the report.

    Raises:
        LegalityError: The model's deployment target is older than iOS 17.
        MlpressError: There are no samples, or one does not fit the model or holds NaN; PyTorch is not
            installed.
        RecipeError: The rules are not for activations.
        StrictError: With `strict`, something could not be done as asked.
        UnsupportedModelError: The program has operators that cannot be run; all are listed.
    """
    source = as_mlmodel(model)
    plan = make_plan(source.program, source.function_name or "main", rules or Quantize())
    ranges = calibration.measure(source, plan.wanted, samples, estimator or MinMax(), progress)
    program, report = quantize(source.program, plan, ranges, strict)
    return Quantized(source.with_program(program), report)
