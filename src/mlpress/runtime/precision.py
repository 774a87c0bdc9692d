"""Rounding to float16 as a program asks for it, and where its range is left."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

FLOAT16_MAX = torch.finfo(torch.float16).max
"""Largest finite float16, 65504."""


class Float16RangeWarning(UserWarning):
    """A result does not fit float16: on a device it is infinite, and what follows may be NaN."""


@dataclass(frozen=True, slots=True)
class Overflow:
    """The first result of a run that left float16's range.

    Attributes:
        operation: Name of the operation.
        type: Its type, such as ``"mul"``.
        largest: Largest finite magnitude of the result before rounding.
    """

    operation: str
    type: str
    largest: float

    def __str__(self) -> str:
        return (
            f"{self.type} {self.operation!r} has a result of {self.largest:.6g}, outside float16's range "
            f"(largest {FLOAT16_MAX:g})"
        )


class Float16(nn.Module):
    """Rounds results to float16 and keeps them in float32.

    Attributes:
        overflow: What first left the range since it was last set to None.
    """

    def __init__(self) -> None:
        super().__init__()
        self.overflow: Overflow | None = None

    def forward(self, x: Tensor, operation: str, type: str) -> Tensor:
        rounded = x.half()
        if self.overflow is None:
            left = torch.isinf(rounded) & torch.isfinite(x)
            if bool(left.any()):
                self.overflow = Overflow(operation, type, float(x[left].abs().max()))
        return rounded.float()
