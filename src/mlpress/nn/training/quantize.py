"""Linear quantization of weights in training."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from mlpress.nn.training.fake_quantize import FakeQuantize, LearnedQuantize
from mlpress.nn.training.ranges import Integers, RangeObserver
from mlpress.nn.training.technique import Technique


@dataclass(frozen=True, slots=True)
class Milestones:
    """Steps at which things begin; a negative one never comes.

    Attributes:
        observe: Ranges are observed from here on.
        quantize: Values are rounded from here on.
        settle: Ranges stay from here on.
        freeze: Batch norms use their running statistics, which stay, from here on.
    """

    observe: int
    quantize: int
    settle: int
    freeze: int

    def apply(self, steps: int, quantizer: FakeQuantize) -> None:
        """Sets the switches of a quantizer after a number of steps."""
        quantizer.observing = self.came(self.observe, steps) and not self.came(self.settle, steps)
        quantizer.enabled = self.came(self.quantize, steps)

    def begun(self, steps: int) -> bool:
        """Whether ranges have been observed, or values rounded, after a number of steps."""
        return self.came(self.observe, steps) or self.came(self.quantize, steps)

    @staticmethod
    def came(milestone: int, steps: int) -> bool:
        """Whether a milestone lies before the step after `steps` steps."""
        return 0 <= milestone < steps


@dataclass(frozen=True, slots=True)
class QuantizeOptions:
    """How to quantize values.

    Attributes:
        integers: What they become.
        observer: See `RangeObserver`.
        learned: Whether scales are learned.
        per_channel: Whether each output channel of a weight has a scale.
        milestones: When what begins; None is everything at once.
    """

    integers: Integers = field(default_factory=Integers)
    observer: str = "moving_average_min_max"
    learned: bool = False
    per_channel: bool = True
    milestones: Milestones | None = None

    def quantizer(self, shape: tuple[int, ...], axis: int | None) -> FakeQuantize:
        """Makes what rounds values of a shape, with a scale for each channel of an axis or one for all."""
        observer = RangeObserver(self.observer, axis, 1 if axis is None else shape[axis])
        made = (
            LearnedQuantize(self.integers, observer, shape)
            if self.learned
            else FakeQuantize(self.integers, observer)
        )
        if self.milestones is not None:
            self.milestones.apply(0, made)
        return made


class BatchNormFold:
    """The batch norm behind a convolution, by whose factors its weight is multiplied before it is rounded.

    (Jacob et al. 2018, section 3.2.) After training the two become one convolution.
    """

    def __init__(self, norm: nn.Module, axis: int) -> None:
        """Takes the batch norm and the axis of the output channels of the weight."""
        self.norm: Any = norm
        self.axis = axis

    def watch(self) -> None:
        """Lets the norm be frozen from now on.

        The hook is there before the first step and looks at an attribute, because compiled steps do not see
        hooks that come later, but are compiled anew when an attribute changes.
        """
        if _evaluate_frozen not in self.norm._forward_pre_hooks.values():
            self.norm.frozen = False
            self.norm.register_forward_pre_hook(_evaluate_frozen)

    def freeze(self, frozen: bool) -> None:
        """Makes the norm use its running statistics, and keep them, in training too; or no longer."""
        self.norm.frozen = frozen

    def release(self) -> None:
        """Leaves the norm as it was before `watch`."""
        hooks = self.norm._forward_pre_hooks
        for key in [key for key, hook in hooks.items() if hook is _evaluate_frozen]:
            del hooks[key], self.norm.frozen

    def factors(self) -> Tensor:
        """Returns what the norm multiplies each channel by, [channels]; 1 for what would be 0."""
        factors = torch.rsqrt(self.norm.running_var + self.norm.eps)
        if self.norm.weight is not None:
            factors = factors * self.norm.weight
        return torch.where(factors == 0, 1, factors)

    def spread(self, rank: int) -> Tensor:
        """Returns the factors with axes of size 1 for all but the output channels."""
        return self.factors().reshape([-1 if axis == self.axis else 1 for axis in range(rank)])

    def bias(self, bias: Tensor | None) -> Tensor:
        """Returns the bias of the convolution that both become."""
        centred = -self.norm.running_mean if bias is None else bias - self.norm.running_mean
        shifted: Tensor = centred * self.factors()
        return shifted if self.norm.bias is None else shifted + self.norm.bias


def _evaluate_frozen(module: Any, inputs: Any) -> None:
    if module.frozen:
        module.training = False


class Quantization(Technique):
    """Rounds a weight, or the tables of a palettized one.

    Attributes:
        quantizer: What rounds the weight.
        fold: The batch norm that follows, or None.
    """

    kind = "quantize"

    def __init__(
        self, weight: Tensor, options: QuantizeOptions, axis: int, fold: BatchNormFold | None = None
    ) -> None:
        """Plans the quantization of a weight whose output channels lie along an axis."""
        super().__init__()
        self.options = options
        self.fold = fold
        quantizer = options.quantizer(tuple(weight.shape), axis if options.per_channel else None)
        self.quantizer = quantizer.to(weight.device)

    @property
    def enabled(self) -> bool:
        """Whether it rounds."""
        return self.quantizer.enabled

    @property
    def begun(self) -> bool:
        """Whether the weight becomes integers in the end: observing ranges is enough, as for calibration."""
        return self.options.milestones is None or self.options.milestones.begun(self.steps)

    @property
    def levels(self) -> int:
        """Largest magnitude of integers that are symmetric about zero."""
        return (1 << (self.options.integers.bits - 1)) - 1

    def advance(self, weight: Tensor) -> None:
        """Takes a step of the schedule."""
        self.steps += 1
        self._apply_milestones()

    def _apply_milestones(self) -> None:
        milestones = self.options.milestones
        if milestones is not None:
            milestones.apply(self.steps, self.quantizer)
            if self.fold is not None:
                self.fold.freeze(milestones.came(milestones.freeze, self.steps))

    def set_extra_state(self, state: Any) -> None:
        """Inverse of `get_extra_state`."""
        super().set_extra_state(state)
        self._apply_milestones()

    def forward(self, weight: Tensor) -> Tensor:
        """Returns the weight rounded."""
        if self.fold is None:
            rounded: Tensor = self.quantizer(weight)
            return rounded
        factors = self.fold.spread(weight.dim())
        folded: Tensor = self.quantizer(weight * factors) / factors
        return folded.to(weight.dtype)

    @torch.no_grad()
    def assign(self, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Returns (integers, scale, zero point) of the weight, which has taken in the batch norm's factors.

        Scale and zero point have the rank of the weight.
        """
        if self.fold is not None:
            weight = (weight * self.fold.spread(weight.dim())).to(weight.dtype)
        self.quantizer(weight)  # ranges take in what the last step of the training did
        scale, zero = self.quantizer.parameters_now()
        axis = self.quantizer.axis
        shape = [-1 if axis == each else 1 for each in range(weight.dim())]
        scale, zero = scale.reshape(shape), zero.reshape(shape)
        return torch.round(self.quantizer.rounded(weight).float() / scale) + zero, scale, zero
