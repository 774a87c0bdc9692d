"""Configurations of the algorithms that compress layer by layer."""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field, model_validator

from mlpress.encoding import Encoding
from mlpress.errors import NotApplicableError
from mlpress.nn.calibration.gptq import GPTQOptions, gptq
from mlpress.nn.calibration.grids import GridOptions
from mlpress.nn.calibration.results import pruned_encoding, rounded_encoding
from mlpress.nn.calibration.sparse_gpt import SparseGPTOptions, sparse_gpt
from mlpress.optimize.torch.fields import Pair, bits_of, dtype_in, member_of, one_of
from mlpress.optimize.torch.optimization_config import ModuleOptimizationConfig, QuantizationGranularity
from mlpress.optimize.torch.quantization.schemes import QuantizationScheme

_INTEGERS = ("uint3", "uint4", "uint8", "int3", "int4", "int8")


class LayerwiseCompressionAlgorithmConfig(ModuleOptimizationConfig):
    """How to compress a layer from the inputs it sees."""

    algorithm_name: ClassVar[str]

    @abstractmethod
    def compress(
        self, weight: torch.Tensor, hessian: torch.Tensor, mask: torch.Tensor | None = None
    ) -> Encoding:
        """Returns how a layer's weight is stored.

        Args:
            weight: Of a linear layer or a convolution, rows along axis 0.
            hessian: See `mlpress.nn.calibration.hessian.Hessian`.
            mask: What is kept of a pruned weight, bool of its shape; the others are zeros and stay it.

        Raises:
            NotApplicableError: What is asked for does not fit the layer.
        """

    @property
    @abstractmethod
    def is_identity(self) -> bool:
        """Whether layers are left alone."""


def _grid(dtype: str, scheme: QuantizationScheme, per_channel: bool, normal_float: bool) -> GridOptions:
    return GridOptions(bits_of(dtype), scheme is QuantizationScheme.symmetric, per_channel, normal_float)


def _check_normal_float(enabled: bool, dtype: str) -> None:
    if enabled and bits_of(dtype) not in (3, 4):
        raise ValueError(f"enable_normal_float goes with types of 3 and 4 bits; weight_dtype is {dtype!r}")


class ModuleGPTQConfig(LayerwiseCompressionAlgorithmConfig):
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

    algorithm_name: ClassVar[str] = "gptq"

    weight_dtype: Annotated[str, dtype_in(*_INTEGERS, "float32")] = "uint8"
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
        _check_normal_float(self.enable_normal_float, self.weight_dtype)
        return self

    @property
    def weight_n_bits(self) -> int:
        """Bits of a weight; 32 where layers are left alone."""
        return bits_of(self.weight_dtype)

    @property
    def is_identity(self) -> bool:
        """Whether layers are left alone."""
        return self.weight_dtype == "float32"

    def compress(
        self, weight: torch.Tensor, hessian: torch.Tensor, mask: torch.Tensor | None = None
    ) -> Encoding:
        """Returns how a layer's weight is stored; see the base class."""
        block = None
        if self.block_size is not None:
            if weight.shape[1] % self.block_size:
                raise NotApplicableError(
                    f"block_size {self.block_size} does not divide the {weight.shape[1]} input channels"
                )
            block = self.block_size * weight[0, 0].numel()
        options = GPTQOptions(
            grid=_grid(
                self.weight_dtype,
                self.quantization_scheme,
                self.granularity is not QuantizationGranularity.per_tensor,
                self.enable_normal_float,
            ),
            block=block,
            dampening=self.hessian_dampening,
            by_activation=self.use_activation_order_heuristic,
            group=self.processing_group_size,
        )
        kept = None if mask is None else mask.flatten(1)
        found = gptq(weight.flatten(1), hessian, options, kept)
        return rounded_encoding(found, weight, not self.weight_dtype.startswith("u"))


class ModuleSparseGPTConfig(LayerwiseCompressionAlgorithmConfig):
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

    algorithm_name: ClassVar[str] = "sparse_gpt"

    target_sparsity: Annotated[float, Field(ge=0, le=1)] = 0.5
    n_m_ratio: Pair | None = None
    weight_dtype: Annotated[str, dtype_in(*_INTEGERS, "float16", "float32")] = "uint8"
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
        _check_normal_float(self.enable_normal_float, self.weight_dtype)
        return self

    @property
    def weight_n_bits(self) -> int:
        """Bits of a weight; 16 or 32 where they are not rounded."""
        return bits_of(self.weight_dtype)

    @property
    def is_identity(self) -> bool:
        """Whether layers are left alone."""
        return False

    def compress(
        self, weight: torch.Tensor, hessian: torch.Tensor, mask: torch.Tensor | None = None
    ) -> Encoding:
        """Returns how a layer's weight is stored; see the base class."""
        per_channel = self.quantization_granularity is QuantizationGranularity.per_channel
        grid = _grid(self.weight_dtype, self.quantization_scheme, per_channel, self.enable_normal_float)
        options = SparseGPTOptions(
            sparsity=self.target_sparsity,
            n_m_ratio=self.n_m_ratio,
            grid=None if self.weight_dtype.startswith("float") else grid,
            dampening=self.hessian_dampening,
            group=self.processing_group_size,
        )
        found = sparse_gpt(weight.flatten(1), hessian, options)
        return pruned_encoding(found, weight, not self.weight_dtype.startswith("u"))
