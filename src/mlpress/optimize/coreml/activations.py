"""Quantization of activations under coremltools' name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from mlpress.api import quantize_activations
from mlpress.calibration import require_samples
from mlpress.errors import MlpressError, RecipeError
from mlpress.mil import Opset, raised
from mlpress.models import MLModel, as_mlmodel
from mlpress.optimize.coreml.config import OpCompressorConfig, OpLinearQuantizerConfig
from mlpress.optimize.coreml.optimization_config import OptimizationConfig
from mlpress.recipe import Quantize, Stage, Step


def linear_quantize_activations(
    mlmodel: Any,
    config: OptimizationConfig,
    sample_data: Iterable[Mapping[str | None, Any]],
    calibration_op_group_size: int = -1,
) -> MLModel:
    """Passes activations through 8-bit integers, with ranges measured on samples.

    The ranges are from the least to the greatest number over all samples. As in coremltools, a model for
    iOS 15 or 16 becomes one for iOS 17, the first that can express it.

    Args:
        mlmodel: A model of mlpress or coremltools, or the path of a package. It is not changed.
        config: Holds `OpLinearQuantizerConfig` only, of int8 or uint8; only its `mode` and `dtype` matter.
        sample_data: Inputs by name, as `MLModel.predict` takes them; any iterable, read once and one at a
            time. The name may be None for a model of one input.
        calibration_op_group_size: Accepted; one run of a sample measures everything, without another package.

    Returns:
        The model with quantized activations.

    Raises:
        LegalityError: The model is for iOS 15 or 16 and has an operator that iOS 17 replaced by another.
        MlpressError: There are no samples, or one does not fit the model or holds NaN; PyTorch is not
            installed.
        RecipeError: The configuration is not for this function.
        TypeError: `sample_data` cannot be iterated over or is a single sample, or a sample is no dictionary.
    """
    if not isinstance(config, OptimizationConfig):
        raise RecipeError(f"config is {config!r}; it has to be an OptimizationConfig")
    require_samples(sample_data)
    model = as_mlmodel(mlmodel)
    step = config.step()
    rules = Step(
        _for_activations(config.global_config, step.stage),
        {name: _for_activations(config.op_type_configs[name], each) for name, each in step.op_types.items()},
        {
            pattern: _for_activations(entry, each)
            for entry, (pattern, each) in zip(
                config.op_name_configs.values(), step.names.items(), strict=True
            )
        },
    )
    model = model.with_program(raised(model.program, Opset.CoreML7))
    return quantize_activations(model, _named(sample_data, model), rules).model


def _for_activations(config: OpCompressorConfig | None, stage: Stage | None) -> Quantize | None:
    if stage is None:
        return None
    if not isinstance(config, OpLinearQuantizerConfig) or not isinstance(stage, Quantize):
        raise RecipeError(
            f"{type(config).__name__} is not for this function, which takes OpLinearQuantizerConfig"
        )
    return Quantize(dtype=stage.dtype, mode=stage.mode)


def _named(samples: Iterable[Mapping[str | None, Any]], model: MLModel) -> Iterator[Mapping[str, Any]]:
    """Yields the samples with the name of the only input where they say None."""
    for number, sample in enumerate(samples):
        if not isinstance(sample, Mapping):
            raise TypeError(f"sample {number} is a {type(sample).__name__}; allowed: a dictionary of inputs")
        if None not in sample:
            yield sample  # type: ignore[misc]  # all keys are names
            continue
        inputs = list(model.interface.inputs)
        if len(sample) > 1 or len(inputs) > 1:
            raise MlpressError(
                f"sample {number} has an input without a name; the model takes {', '.join(inputs)}: name each"
            )
        yield {inputs[0]: sample[None]}
