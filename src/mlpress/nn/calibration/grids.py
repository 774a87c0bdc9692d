"""Values that weights are rounded to, row by row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

# Dettmers et al. 2023, "QLoRA", appendix E, and the table of 3 bits that bitsandbytes has.
_NORMAL_FLOATS: Final = {
    4: (
        -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635,
        -0.18477343022823334, -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725,
        0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941,
        0.7229568362236023, 1.0,
    ),
    3: (-1.0, -0.4786292, -0.21714179, 0.0, 0.1609302, 0.33791524, 0.562617, 1.0),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class GridOptions:
    """Which values.

    Attributes:
        bits: Bits of an index.
        symmetric: Whether the range is symmetric about zero, or from the least to the greatest value.
        per_channel: Whether each row has a scale.
        normal_float: Whether values are those of the normal float type, and not evenly spaced.
    """

    bits: int
    symmetric: bool = True
    per_channel: bool = True
    normal_float: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """Evenly spaced values ``scale * (0..2^bits-1 - zero_point)``, or normal floats times a scale.

    Attributes:
        options: Which.
        scale: [rows, 1].
        zero_point: [rows, 1]; zeros for normal floats.
    """

    options: GridOptions
    scale: Tensor
    zero_point: Tensor

    @classmethod
    def of(cls, weight: Tensor, options: GridOptions) -> Grid:
        """Fits values to the extremes of rows, [rows, columns]."""
        rows = weight if options.per_channel else weight.reshape(1, -1)
        low, high = rows.amin(1).clamp(max=0), rows.amax(1).clamp(min=0)
        largest, most = torch.maximum(-low, high), (1 << options.bits) - 1
        if options.normal_float:
            scale, zero = largest, torch.zeros_like(largest)
        elif options.symmetric:
            scale, zero = 2 * largest / most, torch.full_like(largest, (most + 1) / 2)
        else:
            scale, zero = (high - low) / most, torch.round(-low * most / (high - low).clamp(min=1e-38))
        scale = torch.where(scale > 0, scale, 1)
        count = len(weight) // len(scale)
        return cls(options, scale.repeat_interleave(count)[:, None], zero.repeat_interleave(count)[:, None])

    def split(self, count: int) -> list[Grid]:
        """Returns the grids of a number of equal groups of rows."""
        parts = zip(self.scale.chunk(count), self.zero_point.chunk(count), strict=True)
        return [Grid(self.options, scale, zero_point) for scale, zero_point in parts]

    @classmethod
    def join(cls, grids: Sequence[Grid]) -> Grid:
        """Inverse of `split`."""
        scale, zero_point = (
            torch.cat(parts) for parts in zip(*((g.scale, g.zero_point) for g in grids), strict=True)
        )
        return cls(grids[0].options, scale, zero_point)

    @property
    def table(self) -> Tensor:
        """The normal floats, ascending."""
        return torch.tensor(_NORMAL_FLOATS[self.options.bits], device=self.scale.device)

    def codes(self, values: Tensor) -> Tensor:
        """Returns the index of the value nearest to each of [rows, columns], as floats."""
        if self.options.normal_float:
            halves = (self.table[1:] + self.table[:-1]) / 2
            return torch.bucketize((values / self.scale).contiguous(), halves).float()
        most = (1 << self.options.bits) - 1
        return (torch.round(values / self.scale) + self.zero_point).clamp(0, most)

    def values(self, codes: Tensor) -> Tensor:
        """Inverse of `codes`."""
        if self.options.normal_float:
            return self.scale * self.table[codes.long()]
        return self.scale * (codes - self.zero_point)
