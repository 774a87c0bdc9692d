"""Linear quantization: weights, and in training activations too, become integers with scales."""

from mlpress.optimize.torch.quantization.post_training_quantization import (
    ModulePostTrainingQuantizerConfig,
    PostTrainingQuantizer,
    PostTrainingQuantizerConfig,
)
from mlpress.optimize.torch.quantization.quantization_config import (
    LinearQuantizerConfig,
    ModuleLinearQuantizerConfig,
)
from mlpress.optimize.torch.quantization.quantizer import LinearQuantizer
from mlpress.optimize.torch.quantization.schemes import ObserverType, QuantizationScheme

__all__ = [
    "LinearQuantizer",
    "LinearQuantizerConfig",
    "ModuleLinearQuantizerConfig",
    "ModulePostTrainingQuantizerConfig",
    "ObserverType",
    "PostTrainingQuantizer",
    "PostTrainingQuantizerConfig",
    "QuantizationScheme",
]
