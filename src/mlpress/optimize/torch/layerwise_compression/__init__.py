"""Layerwise compression: each layer is compressed so that its outputs change least."""

from mlpress.optimize.torch.layerwise_compression.algorithms import (
    GPTQ,
    LayerwiseCompressionAlgorithm,
    LayerwiseCompressionAlgorithmConfig,
    ModuleGPTQConfig,
    ModuleSparseGPTConfig,
    SparseGPT,
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
    "GPTQ",
    "DefaultInputCacher",
    "FirstLayerInputCacher",
    "GPTFirstLayerInputCacher",
    "LayerwiseCompressionAlgorithm",
    "LayerwiseCompressionAlgorithmConfig",
    "LayerwiseCompressor",
    "LayerwiseCompressorConfig",
    "ModuleGPTQConfig",
    "ModuleSparseGPTConfig",
    "SparseGPT",
]
