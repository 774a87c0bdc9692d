"""Compression of packages under the names, arguments and defaults of coremltools 9's `optimize.coreml`."""

from mlpress.optimize.coreml import experimental
from mlpress.optimize.coreml.activations import linear_quantize_activations
from mlpress.optimize.coreml.config import (
    OpLinearQuantizerConfig,
    OpMagnitudePrunerConfig,
    OpPalettizerConfig,
    OpThresholdPrunerConfig,
)
from mlpress.optimize.coreml.functions import (
    decompress_weights,
    linear_quantize_weights,
    palettize_weights,
    prune_weights,
)
from mlpress.optimize.coreml.metadata import CoreMLOpMetaData, CoreMLWeightMetaData, get_weights_metadata
from mlpress.optimize.coreml.optimization_config import OptimizationConfig

__all__ = [
    "CoreMLOpMetaData",
    "CoreMLWeightMetaData",
    "OpLinearQuantizerConfig",
    "OpMagnitudePrunerConfig",
    "OpPalettizerConfig",
    "OpThresholdPrunerConfig",
    "OptimizationConfig",
    "decompress_weights",
    "experimental",
    "get_weights_metadata",
    "linear_quantize_activations",
    "linear_quantize_weights",
    "palettize_weights",
    "prune_weights",
]
