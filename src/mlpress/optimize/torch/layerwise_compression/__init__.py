"""Layerwise compression: each layer is compressed so that its outputs change least."""

from mlpress.optimize.torch.layerwise_compression.algorithms import (
    LayerwiseCompressionAlgorithmConfig,
    ModuleGPTQConfig,
    ModuleSparseGPTConfig,
)
from mlpress.optimize.torch.layerwise_compression.input_cacher import (
    DefaultInputCacher,
    FirstLayerInputCacher,
    GPTFirstLayerInputCacher,
)
from mlpress.optimize.torch.layerwise_compression.layerwise_compressor import (
    LayerwiseCompressor,
    LayerwiseCompressorConfig,
)

__all__ = [
    "DefaultInputCacher",
    "FirstLayerInputCacher",
    "GPTFirstLayerInputCacher",
    "LayerwiseCompressionAlgorithmConfig",
    "LayerwiseCompressor",
    "LayerwiseCompressorConfig",
    "ModuleGPTQConfig",
    "ModuleSparseGPTConfig",
]
