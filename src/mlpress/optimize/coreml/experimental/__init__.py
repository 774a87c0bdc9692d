"""The former place of quantization of activations, kept by coremltools 9."""

from mlpress.optimize.coreml.activations import linear_quantize_activations
from mlpress.optimize.coreml.config import OpLinearQuantizerConfig


class OpActivationLinearQuantizerConfig(OpLinearQuantizerConfig):
    """`OpLinearQuantizerConfig` under the former name."""


__all__ = ["OpActivationLinearQuantizerConfig", "linear_quantize_activations"]
