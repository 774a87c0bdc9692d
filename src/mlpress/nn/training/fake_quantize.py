"""Rounding to integers and back in training, with observed or learned scales."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.ao.quantization.fake_quantize import FakeQuantizeBase

from mlpress.nn.arrays import whole
from mlpress.nn.training.processes import process_count
from mlpress.nn.training.ranges import Integers, RangeObserver

_EPSILON = torch.finfo(torch.float32).eps


class FakeQuantize(nn.Module):
    """Rounds to the integers of observed ranges and back; the gradient passes within the range.

    (Jacob et al. 2018, section 3.) Nothing happens before it is enabled. The switches that `torch.ao` has for
    its own, such as ``model.apply(torch.ao.quantization.disable_observer)``, switch these, too.

    Attributes:
        observing: Whether it follows ranges.
        enabled: Whether it rounds.
    """

    def __init__(self, integers: Integers, observer: RangeObserver) -> None:
        super().__init__()
        self.integers = integers
        self.observer = observer
        self.observing = self.enabled = True

    @property
    def axis(self) -> int | None:
        """Axis of channels with scales of their own."""
        return self.observer.axis

    def enable_observer(self, enabled: bool = True) -> None:
        """Lets it follow ranges from now on; a milestone that passes says anew."""
        self.observing = enabled

    def disable_observer(self) -> None:
        """Lets ranges be as they are."""
        self.enable_observer(False)

    def enable_fake_quant(self, enabled: bool = True) -> None:
        """Lets it round from now on; a milestone that passes says anew."""
        self.enabled = enabled

    def disable_fake_quant(self) -> None:
        """Lets values pass as they are."""
        self.enable_fake_quant(False)

    def parameters_now(self) -> tuple[Tensor, Tensor]:
        """Returns scale and zero point (int32): [channels] or scalars."""
        return self.integers.parameters(self.observer.low, self.observer.high)

    def forward(self, values: Tensor) -> Tensor:
        """Sees a float tensor, and returns it rounded."""
        if self.observing:
            self.observer(values.detach())
        return self.rounded(values) if self.enabled else values

    def rounded(self, values: Tensor) -> Tensor:
        """Returns the tensor rounded, whatever the switches say."""
        scale, zero = self.parameters_now()
        low, high, wide = self.integers.low, self.integers.high, values.float()
        if self.axis is None:
            found = torch.fake_quantize_per_tensor_affine(wide, scale, zero, low, high)
        else:
            found = torch.fake_quantize_per_channel_affine(wide, scale, zero, self.axis, low, high)
        return found.to(values.dtype)

    def get_extra_state(self) -> Any:
        """Returns the switches."""
        return {"observing": self.observing, "enabled": self.enabled}

    def set_extra_state(self, state: Any) -> None:
        """Inverse of `get_extra_state`."""
        self.observing, self.enabled = state["observing"], state["enabled"]


# Its switches ask for this base class, whose buffers and attributes are not needed here.
FakeQuantizeBase.register(FakeQuantize)


class LearnedQuantize(FakeQuantize):
    """The same with scales, and zero points where they are not fixed, that are learned.

    (Esser et al. 2020, "LSQ", section 2; Bhalgat et al. 2020, "LSQ+", for zero points.) Gradients of both are
    scaled by ``1 / sqrt(values a scale * largest integer)``. While ranges are observed the scales are those
    of the ranges; learning begins afterwards. What is observed and what is learned are kept apart, since a
    sharded parameter cannot be changed in a forward pass.

    Attributes:
        start_scale: float32, what was observed: [1], or the shape of the values with 1 on every axis but that
            of channels.
        start_zero_point: Of the same shape.
        scale_change: What is learned: added to the scale.
        zero_point_change: Added to the zero point.
    """

    start_scale: Tensor
    start_zero_point: Tensor

    def __init__(self, integers: Integers, observer: RangeObserver, shape: tuple[int, ...] = ()) -> None:
        """Makes it for a weight of a shape; () is for activations, of which each process has a part."""
        super().__init__(integers, observer)
        self._of_activations = not shape
        sizes = [1] * max(1, len(shape))
        if observer.axis is not None:
            sizes[observer.axis] = shape[observer.axis]
        self.register_buffer("start_scale", torch.ones(sizes))
        self.register_buffer("start_zero_point", torch.full(sizes, float(integers.middle)))
        self.scale_change = nn.Parameter(torch.zeros(sizes))
        self.zero_point_change = nn.Parameter(torch.zeros(sizes), requires_grad=not integers.symmetric)

    def _now(self) -> tuple[Tensor, Tensor]:
        """Returns scale and zero point as floats, with gradients to what is learned."""
        learning = 0 if self.observing else 1
        scale = (self.start_scale + learning * self.scale_change).clamp(min=_EPSILON)
        zero = self.start_zero_point + learning * self.zero_point_change
        return scale, zero.clamp(self.integers.low, self.integers.high)

    def parameters_now(self) -> tuple[Tensor, Tensor]:
        """Returns scale and zero point (int32): [channels] or scalars."""
        shape = self.observer.low.shape
        scale, zero = (whole(part).reshape(shape) for part in self._now())
        return scale, zero.round().to(torch.int32)

    def forward(self, values: Tensor) -> Tensor:
        """Sees a float tensor, and returns it rounded."""
        if self.observing:
            self.observer(values.detach())
            scale, zero = self.integers.parameters(self.observer.low, self.observer.high)
            self.start_scale.copy_(scale.reshape(self.start_scale.shape))
            self.start_zero_point.copy_(zero.reshape(self.start_zero_point.shape))
        if not self.enabled:
            # The parameters take part all the same: DistributedDataParallel waits for their gradients.
            return values + 0 * (self.scale_change.sum() + self.zero_point_change.sum())
        return self.rounded(values)

    def rounded(self, values: Tensor) -> Tensor:
        """Returns the tensor rounded, whatever the switches say."""
        count = values.numel() / self.start_scale.numel()
        if self._of_activations:
            count *= process_count()
        factor = (count * self.integers.high) ** -0.5
        scale, zero = self._now()
        scale, zero = _scale_gradient(scale, factor), _straight_through(zero)
        if not self.integers.symmetric:
            zero = _scale_gradient(zero, factor)
        integers = _straight_through(values / scale + zero).clamp(self.integers.low, self.integers.high)
        return ((integers - zero) * scale).to(values.dtype)


def _scale_gradient(values: Tensor, factor: float) -> Tensor:
    scaled = values * factor
    return (values - scaled).detach() + scaled


def _straight_through(values: Tensor) -> Tensor:
    """Rounds; the gradient passes unchanged."""
    return (values.round() - values).detach() + values
