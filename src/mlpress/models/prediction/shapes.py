"""Which shapes a feature may have: one, some, or a range of sizes for each axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Fixed:
    """One shape."""

    default: Shape

    def accepts(self, shape: Shape) -> bool:
        return shape == self.default

    def __str__(self) -> str:
        return shape_text(self.default)


@dataclass(frozen=True, slots=True)
class Enumerated:
    """Some shapes; those at one place of the lists of all enumerated inputs go together (iOS 18).

    A shape may stand in `shapes` more than once, to go with several of another input.
    """

    shapes: tuple[Shape, ...]
    default: Shape

    def accepts(self, shape: Shape) -> bool:
        return shape in self.shapes

    def positions(self, shape: Shape) -> frozenset[int]:
        """Returns the places at which `shape` stands."""
        return frozenset(place for place, allowed in enumerate(self.shapes) if allowed == shape)

    def __str__(self) -> str:
        *others, last = dict.fromkeys(map(shape_text, self.shapes))
        return f"{', '.join(others)} or {last}" if others else last


@dataclass(frozen=True, slots=True)
class Ranged:
    """From a smallest to a largest size for each axis, both included; None for no largest."""

    ranges: tuple[tuple[int, int | None], ...]
    default: Shape

    def accepts(self, shape: Shape) -> bool:
        return len(shape) == len(self.ranges) and all(
            low <= size and (high is None or size <= high)
            for size, (low, high) in zip(shape, self.ranges, strict=True)
        )

    def __str__(self) -> str:
        return " × ".join(_range_text(low, high) for low, high in self.ranges)


Shapes = Fixed | Enumerated | Ranged


def shape_text(shape: Sequence[int]) -> str:
    """``1 × 3 × 224 × 224``; ``no axes`` for a scalar."""
    return " × ".join(map(str, shape)) or "no axes"


def _range_text(low: int, high: int | None) -> str:
    if high is None:
        return f"({low} or more)"
    return str(low) if low == high else f"({low} to {high})"
