"""Algorithms that compress layer by layer, from the inputs that each layer sees."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from mlpress.encoding import Encoding, Scatter, Sparse
from mlpress.errors import NotApplicableError
from mlpress.nn.arrays import to_torch
from mlpress.nn.calibration.gptq import GPTQOptions, gptq_groups
from mlpress.nn.calibration.grids import GridOptions
from mlpress.nn.calibration.hessian import Hessian
from mlpress.nn.calibration.results import pruned_encoding, rounded_encoding
from mlpress.nn.calibration.sparse_gpt import SparseGPTOptions, sparse_gpt
from mlpress.nn.metadata import load, store
from mlpress.optimize.torch.layerwise_compression.algorithm_configs import (
    LayerwiseCompressionAlgorithmConfig,
    ModuleGPTQConfig,
    ModuleSparseGPTConfig,
)
from mlpress.optimize.torch.optimization_config import QuantizationGranularity
from mlpress.optimize.torch.quantization.schemes import QuantizationScheme
from mlpress.optimize.torch.registry import ClassRegistry

__all__ = [
    "GPTQ",
    "LayerwiseCompressionAlgorithm",
    "LayerwiseCompressionAlgorithmConfig",
    "ModuleGPTQConfig",
    "ModuleSparseGPTConfig",
    "OBSCompressionAlgorithm",
    "QuantizationGranularity",
    "SparseGPT",
]


class LayerwiseCompressionAlgorithm(ClassRegistry, ABC):
    """Compresses one layer; subclasses, registered by name, are made from a layer and its configuration."""

    @abstractmethod
    def add_batch(self, inp: torch.Tensor, out: torch.Tensor) -> None:
        """Sees an input and an output of the layer."""

    def join(self, other: Any) -> None:
        """Adds what was seen of another layer with the same weight.

        Raises:
            NotApplicableError: The algorithm has no way to do that.
        """
        raise NotApplicableError(f"{type(self).__name__} does not compress a weight that layers share")

    @abstractmethod
    def compress(self) -> None:
        """Compresses the layer's weight in place.

        Raises:
            NotApplicableError: What is asked for does not fit the layer, which is as it was then.
        """

    @abstractmethod
    def cleanup(self) -> None:
        """Forgets what was seen."""


class OBSCompressionAlgorithm(LayerwiseCompressionAlgorithm):
    """Compresses a layer by the second derivatives of its squared output error.

    (Frantar et al. 2022, "Optimal Brain Compression".)
    """

    def __init__(self, layer: nn.Module, config: LayerwiseCompressionAlgorithmConfig) -> None:
        """Takes a `Linear` or `Conv2d` layer, and how to compress it.

        Raises:
            NotApplicableError: The layer is quantized or palettized already.
        """
        self._layer = layer
        self._config = config
        self._mask = _mask(layer)
        self._hessian = Hessian(layer)

    def add_batch(self, inp: torch.Tensor, out: torch.Tensor) -> None:
        """Sees an input of the layer; the output says nothing more."""
        self._hessian.add(inp)

    def join(self, other: OBSCompressionAlgorithm) -> None:
        """Adds what was seen of another layer with the same weight."""
        self._hessian.join(other._hessian)

    def compress(self) -> None:
        """Compresses the layer's weight in place, and describes it in the layer's buffers.

        Raises:
            NotApplicableError: What is asked for does not fit the layer, or its inputs were not finite.
        """
        if not self._hessian.seen:
            raise NotApplicableError("no input of it was seen")
        if not torch.isfinite(self._hessian.sums).all():
            raise NotApplicableError("its inputs are not finite")
        weight = cast("torch.Tensor", self._layer.weight).detach()
        store(self._layer, "weight", self.encode(weight, self._hessian.sums, self._mask))

    def cleanup(self) -> None:
        """Forgets what was seen."""
        self._hessian = Hessian(self._layer)

    @abstractmethod
    def encode(self, weight: torch.Tensor, hessians: torch.Tensor, mask: torch.Tensor | None) -> Encoding:
        """Returns how the layer's weight is stored.

        Args:
            weight: Rows along axis 0.
            hessians: One for each group of rows; see `mlpress.nn.calibration.hessian.Hessian`.
            mask: What is kept of a pruned weight, bool of its shape; the others are zeros and stay it.

        Raises:
            NotApplicableError: What is asked for does not fit the layer.
        """


@LayerwiseCompressionAlgorithm.register("gptq")
class GPTQ(OBSCompressionAlgorithm):
    """Quantizes a layer column by column; what is left makes up for each (Frantar et al. 2023)."""

    _config: ModuleGPTQConfig

    def __init__(self, layer: nn.Module, config: ModuleGPTQConfig) -> None:
        """Takes a layer, and how to compress it; see the base class.

        Raises:
            NotApplicableError: The blocks do not divide its input channels, too.
        """
        super().__init__(layer, config)
        inputs = cast("torch.Tensor", layer.weight).shape[1]
        if config.block_size is not None and inputs % config.block_size:
            raise NotApplicableError(
                f"block_size {config.block_size} does not divide the {inputs} input channels"
            )

    def encode(self, weight: torch.Tensor, hessians: torch.Tensor, mask: torch.Tensor | None) -> Encoding:
        """Returns how the layer's weight is stored; see the base class."""
        config, block = self._config, None
        if config.block_size is not None:
            block = config.block_size * weight[0, 0].numel()
        options = GPTQOptions(
            grid=_grid(config, config.granularity is not QuantizationGranularity.per_tensor),
            block=block,
            dampening=config.hessian_dampening,
            by_activation=config.use_activation_order_heuristic,
            group=config.processing_group_size,
        )
        kept = None if mask is None else mask.flatten(1)
        found = gptq_groups(weight.flatten(1), hessians, options, kept)
        return rounded_encoding(found, weight, not config.weight_type.startswith("u"))


@LayerwiseCompressionAlgorithm.register("sparse_gpt")
class SparseGPT(OBSCompressionAlgorithm):
    """Prunes a layer, and rounds what stays, which makes up for what goes (Frantar and Alistarh 2023)."""

    _config: ModuleSparseGPTConfig

    def __init__(self, layer: nn.Module, config: ModuleSparseGPTConfig) -> None:
        super().__init__(layer, config)

    def encode(self, weight: torch.Tensor, hessians: torch.Tensor, mask: torch.Tensor | None) -> Encoding:
        """Returns how the layer's weight is stored; see the base class."""
        config = self._config
        per_channel = config.quantization_granularity is QuantizationGranularity.per_channel
        options = SparseGPTOptions(
            sparsity=config.target_sparsity,
            n_m_ratio=config.n_m_ratio,
            grid=None if config.weight_type.startswith("float") else _grid(config, per_channel),
            dampening=config.hessian_dampening,
            group=config.processing_group_size,
        )
        rows = weight.flatten(1)
        found = sparse_gpt(rows.reshape(len(hessians), -1, rows.shape[1]), hessians, options)
        return pruned_encoding(found, weight, not config.weight_type.startswith("u"))


def _grid(config: ModuleGPTQConfig | ModuleSparseGPTConfig, per_channel: bool) -> GridOptions:
    symmetric = config.quantization_scheme is QuantizationScheme.symmetric
    return GridOptions(config.weight_n_bits, symmetric, per_channel, config.enable_normal_float)


def _mask(layer: nn.Module) -> torch.Tensor | None:
    """Returns what is kept of a pruned weight, bool of its shape; None where all is.

    Raises:
        NotApplicableError: The weight is not stored as floats.
    """
    encoding = load(layer, "weight")
    if encoding is None:
        return None
    if not isinstance(encoding, Scatter) or not isinstance(encoding.source, Sparse):
        raise NotApplicableError("it is quantized or palettized already")
    device = cast("torch.Tensor", layer.weight).device
    return to_torch(encoding.source.mask.numpy().view(np.bool_), device)
