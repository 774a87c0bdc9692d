"""Configurations of the algorithms that compress layer by layer."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, model_validator

from mlpress.optimize.torch.fields import Pair, bits_of, dtype_in, member_of, one_of
from mlpress.optimize.torch.optimization_config import (
    ModuleOptimizationConfig,
    QuantizationGranularity,
    WeightTypeConfig,
)
from mlpress.optimize.torch.quantization.schemes import QuantizationScheme
from mlpress.optimize.torch.registry import ClassRegistry

_INTEGERS = ("uint3", "uint4", "uint8", "int3", "int4", "int8")


class LayerwiseCompressionAlgorithmConfig(ClassRegistry, ModuleOptimizationConfig):
    """How to compress a layer from the inputs it sees; subclasses are registered by the algorithm's name.

    Those of algorithms of one's own have a field ``algorithm`` with that name, too.
    """

    @property
    def is_identity(self) -> bool:
        """Whether layers are left alone."""
        return False


def _check_normal_float(enabled: bool, dtype: str) -> None:
    if enabled and bits_of(dtype) not in (3, 4):
        raise ValueError(f"enable_normal_float goes with types of 3 and 4 bits; weight_dtype is {dtype!r}")


@LayerwiseCompressionAlgorithmConfig.register("gptq")
class ModuleGPTQConfig(LayerwiseCompressionAlgorithmConfig, WeightTypeConfig):
    """Quantization by GPTQ (Frantar et al. 2023).

    Attributes:
        weight_dtype: ``uint8``, ``uint4``, ``uint3``, or the same with sign; ``float32`` leaves layers alone.
        granularity: ``per_tensor``, ``per_channel`` or ``per_block``.
        quantization_scheme: ``symmetric`` or ``affine``.
        block_size: For ``per_block``, and only there: input channels that share a scale.
        enable_normal_float: Use a table of normal floats, for 3 and 4 bits.
        hessian_dampening: Fraction of the mean of the Hessian's diagonal that is added to it.
        use_activation_order_heuristic: Whether columns with the largest Hessian come first.
        processing_group_size: Columns after which errors reach the columns beyond.
        algorithm: ``gptq``.
    """

    weight_dtype: Annotated[Any, dtype_in(*_INTEGERS, "float32")] = "uint8"
    granularity: Annotated[QuantizationGranularity, member_of(QuantizationGranularity)] = (
        QuantizationGranularity.per_channel
    )
    quantization_scheme: Annotated[QuantizationScheme, member_of(QuantizationScheme)] = (
        QuantizationScheme.symmetric
    )
    block_size: Annotated[int, Field(ge=1)] | None = None
    enable_normal_float: bool = False
    hessian_dampening: Annotated[float, Field(gt=0)] = 0.01
    use_activation_order_heuristic: bool = False
    processing_group_size: Annotated[int, Field(ge=1)] = 128
    algorithm: Annotated[str, one_of("gptq")] = "gptq"

    @model_validator(mode="after")
    def _check(self) -> Any:
        if (self.granularity is QuantizationGranularity.per_block) != (self.block_size is not None):
            raise ValueError("block_size goes with granularity 'per_block', and only with it")
        _check_normal_float(self.enable_normal_float, self.weight_type)
        return self

    @property
    def is_identity(self) -> bool:
        """Whether layers are left alone."""
        return self.weight_type == "float32"


@LayerwiseCompressionAlgorithmConfig.register("sparse_gpt")
class ModuleSparseGPTConfig(LayerwiseCompressionAlgorithmConfig, WeightTypeConfig):
    """Pruning by SparseGPT, alone or together with quantization (Frantar and Alistarh 2023).

    Attributes:
        target_sparsity: Fraction to drop.
        n_m_ratio: ``(n, m)``: drop n of each m neighbours along the inputs instead.
        weight_dtype: What the other weights are rounded to, as for GPTQ; ``float16`` and ``float32`` leave
            them.
        quantization_granularity: ``per_tensor`` or ``per_channel``.
        quantization_scheme: ``symmetric`` or ``affine``.
        enable_normal_float: Use a table of normal floats, for 3 and 4 bits.
        hessian_dampening: Fraction of the mean of the Hessian's diagonal that is added to it.
        processing_group_size: Columns among which weights to drop are chosen.
        algorithm: ``sparse_gpt``.
    """

    target_sparsity: Annotated[float, Field(ge=0, le=1)] = 0.5
    n_m_ratio: Pair | None = None
    weight_dtype: Annotated[Any, dtype_in(*_INTEGERS, "float16", "float32")] = "uint8"
    quantization_granularity: Annotated[QuantizationGranularity, member_of(QuantizationGranularity)] = (
        QuantizationGranularity.per_channel
    )
    quantization_scheme: Annotated[QuantizationScheme, member_of(QuantizationScheme)] = (
        QuantizationScheme.symmetric
    )
    enable_normal_float: bool = False
    hessian_dampening: Annotated[float, Field(gt=0)] = 0.01
    processing_group_size: Annotated[int, Field(ge=1)] = 128
    algorithm: Annotated[str, one_of("sparse_gpt")] = "sparse_gpt"

    @model_validator(mode="after")
    def _check(self) -> Any:
        if self.n_m_ratio is not None and not 0 <= self.n_m_ratio[0] <= self.n_m_ratio[1]:
            raise ValueError(f"n_m_ratio is {self.n_m_ratio}; n is 0 to m")
        if self.quantization_granularity is QuantizationGranularity.per_block:
            raise ValueError("quantization_granularity is per_block; allowed: per_tensor, per_channel")
        _check_normal_float(self.enable_normal_float, self.weight_type)
        return self
