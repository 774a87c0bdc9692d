"""Configuration of quantization in training."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field, model_validator

from mlpress.nn.training.quantize import Milestones, QuantizeOptions
from mlpress.nn.training.ranges import Integers
from mlpress.optimize.torch.fields import Milestone4, dtype_in, member_of, one_of
from mlpress.optimize.torch.optimization_config import OptimizationConfig, WeightTypeConfig
from mlpress.optimize.torch.quantization.schemes import ObserverType, QuantizationScheme


class ModuleLinearQuantizerConfig(WeightTypeConfig):
    """How to quantize a module, or an operation.

    Attributes:
        algorithm: ``vanilla`` (scales from observed ranges) or ``learnable`` (scales are learned).
        weight_dtype: ``qint4``, ``quint4``, ``qint8``, ``quint8``; ``float32`` leaves weights alone.
        weight_observer: How ranges of weights are followed.
        weight_per_channel: Whether each output channel has a scale.
        activation_dtype: ``quint8``; ``float32`` leaves activations alone.
        activation_observer: How ranges of activations are followed.
        quantization_scheme: ``symmetric`` or ``affine``; one for the model.
        milestones: Steps at which ranges begin to be observed, rounding begins, ranges settle, and batch
            norms freeze; -1 for never. None is observing and rounding from the start. What was observed is
            quantized in the end, whether or not rounding has begun.
    """

    type_fields: ClassVar[tuple[str, ...]] = ("weight_dtype", "activation_dtype")

    algorithm: Annotated[str, one_of("vanilla", "learnable")] = "vanilla"
    weight_dtype: Annotated[Any, dtype_in("qint4", "quint4", "qint8", "quint8", "float32")] = "qint8"
    weight_observer: Annotated[ObserverType, member_of(ObserverType)] = ObserverType.moving_average_min_max
    weight_per_channel: bool = True
    activation_dtype: Annotated[Any, dtype_in("quint8", "float32")] = "quint8"
    activation_observer: Annotated[ObserverType, member_of(ObserverType)] = (
        ObserverType.moving_average_min_max
    )
    quantization_scheme: Annotated[QuantizationScheme, member_of(QuantizationScheme)] = (
        QuantizationScheme.symmetric
    )
    milestones: Milestone4 | None = None

    @model_validator(mode="after")
    def _check(self) -> Any:
        observe, quantize, settle, _ = self.milestones or (0, 0, 1, -1)
        if quantize >= 0 and (observe < 0 or 0 <= settle <= observe):
            raise ValueError(
                f"milestones is {self.milestones}: ranges would settle before any are observed; the third is "
                f"greater than the first"
            )
        return self

    def weights(self, milestones: Milestones | None) -> QuantizeOptions | None:
        """Returns what is done to weights, or None."""
        if self.weight_dtype == torch.float32:
            return None
        signed = self.weight_type.startswith("qint")
        integers = Integers(self.weight_n_bits, signed, self._symmetric)
        return QuantizeOptions(
            integers, self.weight_observer.value, self._learned, self.weight_per_channel, milestones
        )

    def activations(self, milestones: Milestones | None) -> QuantizeOptions | None:
        """Returns what is done to activations, or None."""
        if self.activation_dtype == torch.float32:
            return None
        integers = Integers(8, signed=False, symmetric=self._symmetric)
        return QuantizeOptions(integers, self.activation_observer.value, self._learned, False, milestones)

    @property
    def _symmetric(self) -> bool:
        return self.quantization_scheme is QuantizationScheme.symmetric

    @property
    def _learned(self) -> bool:
        return self.algorithm == "learnable"


class LinearQuantizerConfig(OptimizationConfig):
    """Which modules and operations to quantize, and how.

    Keys of `module_type_configs` can be functions, too, such as ``torch.add``.

    Attributes:
        non_traceable_module_names: Modules that the graph of the model does not look into.
        preserved_attributes: Attributes of the model that the prepared and the finalized one have, too.
    """

    module_config: ClassVar[type[ModuleLinearQuantizerConfig]] = ModuleLinearQuantizerConfig

    non_traceable_module_names: list[str] = Field(default_factory=list)
    preserved_attributes: list[str] = Field(default_factory=list)

    def model_post_init(self, context: Any) -> None:
        """Checks what is one for the model."""
        super().model_post_init(context)
        self.require_same("quantization_scheme", "algorithm")

    @property
    def milestones(self) -> Milestones | None:
        """Those of the global configuration, or of the first one that there is."""
        configs = self.all_configs()
        given = configs[0].milestones if configs else None
        return None if given is None else Milestones(*given)
