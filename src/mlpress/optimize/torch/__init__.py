"""Compression of torch modules under the names and defaults of coremltools 9's `optimize.torch`."""

from mlpress.optimize.torch import (
    base_model_optimizer,
    layerwise_compression,
    optimization_config,
    palettization,
    pruning,
    quantization,
)

__all__ = [
    "base_model_optimizer",
    "layerwise_compression",
    "optimization_config",
    "palettization",
    "pruning",
    "quantization",
]
