"""The functions that compress a package, under coremltools' names.

As in coremltools, a model for iOS 15 becomes one for iOS 16, the first that can express compressed weights.
Each returns a new model, whose `compression_report` says what was done to each weight.
"""

from __future__ import annotations

from logging import getLogger
from typing import Any

from mlpress.api import compress_with, decompress
from mlpress.errors import LegalityError, RecipeError
from mlpress.mil import Opset, raised
from mlpress.models import MLModel, as_mlmodel
from mlpress.optimize.coreml.config import (
    OpCompressorConfig,
    OpLinearQuantizerConfig,
    OpMagnitudePrunerConfig,
    OpPalettizerConfig,
    OpThresholdPrunerConfig,
)
from mlpress.optimize.coreml.optimization_config import OptimizationConfig
from mlpress.passes import Options
from mlpress.recipe import Recipe

_log = getLogger(__name__)


def palettize_weights(mlmodel: Any, config: OptimizationConfig, joint_compression: bool = False) -> MLModel:
    """Replaces weights by indices into look-up tables.

    Args:
        mlmodel: A model of mlpress or coremltools, or the path of a package. It is not changed.
        config: Holds `OpPalettizerConfig` only.
        joint_compression: Whether weights that are pruned or quantized already are palettized too: what is
            left of them, or their integers.

    Returns:
        The compressed model; its ``compression_report`` tells of each weight.

    Raises:
        LegalityError: The model's deployment target cannot express it.
        RecipeError: The configuration is not for this function, or contradicts itself on a constant.
    """
    workers = max(
        (entry.num_kmeans_workers for entry in config.configs() if isinstance(entry, OpPalettizerConfig)),
        default=1,
    )
    return _compress(mlmodel, config, (OpPalettizerConfig,), joint_compression, workers)


def linear_quantize_weights(
    mlmodel: Any, config: OptimizationConfig, joint_compression: bool = False
) -> MLModel:
    """Stores weights as integers with scales.

    Args:
        mlmodel: A model of mlpress or coremltools, or the path of a package. It is not changed.
        config: Holds `OpLinearQuantizerConfig` only.
        joint_compression: Whether weights that are pruned or palettized already are quantized too: what is
            left of them, or their tables (granularity ``"per_tensor"``).

    Returns:
        The compressed model; its ``compression_report`` tells of each weight.

    Raises:
        LegalityError: The model's deployment target cannot express it.
        RecipeError: The configuration is not for this function, or contradicts itself on a constant.
    """
    return _compress(mlmodel, config, (OpLinearQuantizerConfig,), joint_compression)


def prune_weights(mlmodel: Any, config: OptimizationConfig, joint_compression: bool = False) -> MLModel:
    """Sets weights to zero and stores the others beside a bit mask.

    Args:
        mlmodel: A model of mlpress or coremltools, or the path of a package. It is not changed.
        config: Holds `OpMagnitudePrunerConfig` and `OpThresholdPrunerConfig` only.
        joint_compression: Whether weights that are compressed already are pruned too, by their decoded
            magnitudes.

    Returns:
        The compressed model; its ``compression_report`` tells of each weight.

    Raises:
        LegalityError: The model's deployment target cannot express it.
        RecipeError: The configuration is not for this function, or contradicts itself on a constant.
    """
    return _compress(mlmodel, config, (OpMagnitudePrunerConfig, OpThresholdPrunerConfig), joint_compression)


def decompress_weights(mlmodel: Any) -> MLModel:
    """Makes every compressed weight dense again.

    Args:
        mlmodel: A model of mlpress or coremltools, or the path of a package. It is not changed.
    """
    return decompress(mlmodel)


def _compress(
    mlmodel: Any,
    config: OptimizationConfig,
    allowed: tuple[type[OpCompressorConfig], ...],
    joint_compression: bool,
    workers: int = 1,
) -> MLModel:
    if not isinstance(config, OptimizationConfig):
        raise RecipeError(f"config is {config!r}; it has to be an OptimizationConfig")
    for entry in config.configs():
        if not isinstance(entry, allowed):
            names = " or ".join(kind.__name__ for kind in allowed)
            raise RecipeError(f"{type(entry).__name__} is not for this function, which takes {names}")
    model = as_mlmodel(mlmodel)
    if joint_compression:
        _check_joint(model)
    model = model.with_program(raised(model.program, Opset.CoreML6))
    options = Options(already_compressed=joint_compression, workers=workers)
    compressed, report = compress_with(model, Recipe.of(config.step()), options)
    compressed.compression_report = report
    if report.skipped:
        first = report.skipped[0]
        _log.warning(
            "%d of %d weights stay as they were, the first of them %r: %s (all are in compression_report)",
            len(report.skipped),
            len(report),
            first.name,
            first.reason,
        )
    return compressed


def _check_joint(model: MLModel) -> None:
    for name, function in model.program.functions.items():
        if function.opset < Opset.CoreML8:
            raise LegalityError(
                f"joint compression needs iOS 18 or later; function {name!r} targets {function.opset.target}"
            )
