"""Linear quantization of a trained model without data."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, ClassVar

import torch
from pydantic import model_validator
from torch import nn

from mlpress.encoding import Affine, Lut, Scatter
from mlpress.errors import EncodingError
from mlpress.fit.apply import run
from mlpress.nn.float8 import run_float8
from mlpress.nn.metadata import load, mark_version
from mlpress.nn.post_training import Plan, compress
from mlpress.nn.targets import CONVOLUTIONS, TRANSPOSED, Target, targets
from mlpress.optimize.torch.base_model_optimizer import BasePostTrainingModelOptimizer, config_of
from mlpress.optimize.torch.fields import Sizes, dtype_in, member_of
from mlpress.optimize.torch.optimization_config import (
    OptimizationConfig,
    QuantizationGranularity,
    WeightTypeConfig,
)
from mlpress.optimize.torch.quantization.schemes import QuantizationScheme
from mlpress.recipe import Quantize, Stage

_FLOATS = ("fp8_e4m3", "fp8_e5m2")


class ModulePostTrainingQuantizerConfig(WeightTypeConfig):
    """How to quantize a module.

    Attributes:
        weight_dtype: ``int8``, ``uint8``, ``int4`` or ``uint4``; ``fp8_e4m3`` or ``fp8_e5m2`` for 8-bit
            floats, which become a table of their 256 values (before iOS 26 one for each scale, so that
            ``per_tensor`` is smallest); ``float32`` leaves the module alone.
        granularity: ``per_tensor``, ``per_channel`` or ``per_block``.
        quantization_scheme: ``symmetric`` (the range is symmetric about zero) or ``affine`` (it runs from the
            least to the greatest weight).
        block_size: For ``per_block``, and only there: weights along the input channels that share a scale, or
            sizes along output channels, input channels and the axes that follow, 0 meaning all.
    """

    weight_dtype: Annotated[Any, dtype_in("int8", "uint8", "int4", "uint4", *_FLOATS, "float32")] = "int8"
    granularity: Annotated[QuantizationGranularity, member_of(QuantizationGranularity)] = (
        QuantizationGranularity.per_channel
    )
    quantization_scheme: Annotated[QuantizationScheme, member_of(QuantizationScheme)] = (
        QuantizationScheme.symmetric
    )
    block_size: Sizes | None = None

    @model_validator(mode="after")
    def _check_blocks(self) -> Any:
        if (self.granularity is QuantizationGranularity.per_block) != (self.block_size is not None):
            raise ValueError("block_size goes with granularity 'per_block', and only with it")
        if self.block_size is not None and min(self.block_size) < 0:
            raise ValueError(f"block_size is {self.block_size}; sizes are 0 or more")
        if self.weight_type in _FLOATS and self.quantization_scheme is QuantizationScheme.affine:
            raise ValueError(f"weight_dtype {self.weight_type!r} goes with quantization_scheme 'symmetric'")
        return self

    def stage_for(self, target: Target) -> Stage | str:
        """Returns the stage of a recipe that says the same for one weight, or why there is none."""
        symmetric = self.quantization_scheme is QuantizationScheme.symmetric
        arguments: dict[str, Any] = {
            "dtype": "int8" if self.weight_type in _FLOATS else self.weight_type,
            "mode": "linear_symmetric" if symmetric else "linear",
            "granularity": self.granularity.value,
            "weight_threshold": 0,
        }
        if _has_table(target):
            # The default, a scale per channel, says nothing about tables, which have one scale.
            if self.granularity is QuantizationGranularity.per_channel:
                arguments["granularity"] = None
        elif self.block_size is not None:
            sizes = _block_sizes(self.block_size, target)
            if isinstance(sizes, str):
                return sizes
            arguments["block_size"] = sizes
        return Quantize(**arguments)


def _has_table(target: Target) -> bool:
    encoding = load(target.module, target.parameter)
    source = encoding.source if isinstance(encoding, Scatter) else encoding
    return isinstance(source.data if isinstance(source, Affine) else source, Lut)


def _block_sizes(given: tuple[int, ...], target: Target) -> tuple[int, ...] | str:
    """Returns sizes for all axes of a weight, in its own order, or why there are none."""
    shape, layout = tuple(target.values.shape), target.layout
    if len(given) > len(shape):
        return f"block_size {given} has more sizes than the weight has axes ({len(shape)})"
    if any(size not in (0, whole) for size, whole in zip(given[2:], shape[2:], strict=False)):
        return f"block_size {given} cuts axes that are neither input nor output channels"
    output_axis, input_axis = layout.require_output_axis(len(shape)), layout.require_input_axis(len(shape))
    outputs, inputs = (0, given[0]) if len(given) == 1 else given[:2]
    if not 0 < inputs < shape[input_axis] and not 0 < outputs < shape[output_axis]:
        return f"block_size {given} cuts no axis; granularity per_tensor or per_channel does that"
    sizes = [0] * len(shape)
    sizes[input_axis] = inputs
    # Blocks along the inputs have scales of their own for each output channel.
    sizes[output_axis] = outputs if 0 < outputs < shape[output_axis] or not inputs else 1
    return tuple(sizes)


class PostTrainingQuantizerConfig(OptimizationConfig):
    """Which modules to quantize, and how."""

    module_config: ClassVar[type[ModulePostTrainingQuantizerConfig]] = ModulePostTrainingQuantizerConfig

    def model_post_init(self, context: Any) -> None:
        """Checks that the scheme is the same everywhere."""
        super().model_post_init(context)
        self.require_same("quantization_scheme")


class PostTrainingQuantizer(BasePostTrainingModelOptimizer):
    """Quantizes the weights of a trained model, with scales from their extremes.

    Of weights that are pruned already only what is left is stored; palettized ones have their tables
    quantized.
    """

    _supported_modules = (*CONVOLUTIONS, *TRANSPOSED, nn.Linear, nn.MultiheadAttention)
    _config_class = PostTrainingQuantizerConfig

    def compress(self, inplace: bool = False, *, strict: bool = False) -> torch.nn.Module:
        """Returns the quantized model.

        Args:
            inplace: Whether to change the model itself and not a copy.
            strict: Whether a weight that cannot be quantized as asked is an error.

        Raises:
            StrictError: There is such a weight; nothing has been changed then.
        """
        model = self._start(inplace)
        plans: list[Plan] = []
        for target in targets(model, self._supported_modules):
            config = config_of(self._config, model, target)
            if config is not None and config.weight_type != "float32":
                plans.append(_plan(target, config))
        outcome = compress(plans, strict=strict)
        self._errors, self._skipped = outcome.errors, outcome.skipped
        mark_version(model)
        return model


def _plan(target: Target, config: ModulePostTrainingQuantizerConfig) -> Plan:
    try:
        stage = config.stage_for(target)
    except EncodingError as reason:
        stage = str(reason)
    solve = partial(run_float8, config.weight_type) if config.weight_type in _FLOATS else run
    return Plan(target, stage if isinstance(stage, str) else (stage,), solve)
