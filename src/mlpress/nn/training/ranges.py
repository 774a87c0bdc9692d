"""Observers of ranges, and the scales and zero points that ranges mean.

The arithmetic is that of the observers of `torch.ao.quantization`, which coremltools uses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn

from mlpress.nn.training.processes import over_processes

_EPSILON: Final = torch.finfo(torch.float32).eps
_KEEP: Final = {"moving_average_min_max": 0.99, "ema_min_max": 0.9}


@dataclass(frozen=True, slots=True)
class Integers:
    """The integers that floats become.

    Attributes:
        bits: 4 or 8.
        signed: Whether they are -2^(bits-1)..2^(bits-1)-1 or 0..2^bits-1.
        symmetric: Whether zero stands in the middle, at 0, 128 (8 bits) or 7 (4 bits).
    """

    bits: int = 8
    signed: bool = True
    symmetric: bool = True

    @property
    def low(self) -> int:
        return -(1 << (self.bits - 1)) if self.signed else 0

    @property
    def high(self) -> int:
        return self.low + (1 << self.bits) - 1

    @property
    def middle(self) -> int:
        """What stands for zero in the symmetric form."""
        return 0 if self.signed else (128 if self.bits == 8 else (self.low + self.high) // 2)

    def parameters(self, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        """Returns scale and zero point (int32) of ranges; 1 and 0 where nothing was seen."""
        seen = torch.isfinite(low) & torch.isfinite(high)
        low = torch.where(seen, low, 0).clamp(max=0)
        high = torch.where(seen, high, 0).clamp(min=0)
        if self.symmetric:
            scale = torch.maximum(-low, high) / ((self.high - self.low) / 2)
            zero = torch.full_like(scale, self.middle)
        else:
            scale = (high - low) / (self.high - self.low)
            zero = self.low - torch.round(low / scale.clamp(min=_EPSILON))
        scale = torch.where(seen, scale.clamp(min=_EPSILON), 1)
        return scale, torch.where(seen, zero, 0).clamp(self.low, self.high).to(torch.int32)


class RangeObserver(nn.Module):
    """Follows the least and the greatest value of tensors.

    Attributes:
        synchronized: Whether values of all processes count.
        low: Least value, one for each channel or one for all; infinite before anything is seen.
        high: Greatest value.
    """

    low: Tensor
    high: Tensor

    def __init__(self, kind: str, axis: int | None = None, channels: int = 1) -> None:
        """Makes an observer.

        Args:
            kind: ``min_max`` (the extremes of all), ``moving_average_min_max`` (averages that take 1 % of
                each new extreme) or ``ema_min_max`` (10 %).
            axis: Axis of channels with ranges of their own; None is one range for all.
            channels: How many channels.
        """
        super().__init__()
        self.kind = kind
        self.axis = axis
        self.synchronized = True
        shape = (channels,) if axis is not None else ()
        self.register_buffer("low", torch.full(shape, torch.inf))
        self.register_buffer("high", torch.full(shape, -torch.inf))

    @torch.no_grad()
    def forward(self, values: Tensor) -> None:
        """Sees a tensor."""
        if values.numel() == 0:
            return
        rows = values.float().reshape(1, -1) if self.axis is None else values.float().movedim(self.axis, 0)
        low, high = torch.aminmax(rows.flatten(1), dim=1)
        if self.synchronized:
            low, high = over_processes(low, "min"), over_processes(high, "max")
        low, high = low.reshape(self.low.shape), high.reshape(self.high.shape)
        if self.kind == "min_max":
            self.low.copy_(torch.minimum(self.low, low))
            self.high.copy_(torch.maximum(self.high, high))
            return
        new = 1 - _KEEP[self.kind]
        self.low.copy_(torch.where(torch.isinf(self.low), low, self.low + new * (low - self.low)))
        self.high.copy_(torch.where(torch.isinf(self.high), high, self.high + new * (high - self.high)))
