"""What 8-bit codes stand for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Grid:
    """What codes stand for, and which there are: ``scale * (code - zero)`` for codes in low..high."""

    scale: float
    zero: int
    low: int = 0
    high: int = 255

    @property
    def never_negative(self) -> bool:
        """Whether no code stands for a negative number."""
        return self.low >= self.zero
