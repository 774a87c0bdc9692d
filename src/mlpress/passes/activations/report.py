"""Which values became integers, and which did not, with the reason."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class ActivationRow:
    """A value that is stored in 8 bits now.

    Attributes:
        name: Name of the value.
        users: Type and name of the operators that get it so; empty if all do.
        dtype: int8 or uint8.
        low: Least of the numbers that it was measured to take, after the estimator.
        high: Greatest of them.
        scale: Distance of two neighbouring integers.
        zero_point: The integer that stands for 0.
    """

    name: str
    users: tuple[tuple[str, str], ...]
    dtype: str
    low: float
    high: float
    scale: float
    zero_point: int


@dataclass(frozen=True, slots=True)
class Skipped:
    """An operator that was asked for and keeps floats, and why."""

    type: str
    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class ActivationReport:
    """What was done to the activations of a function.

    Attributes:
        rows: Values that are quantized, in program order.
        skipped: Operators that keep floats though they were asked for.
        unmatched: Rules that match no operator that can be quantized, as ``names: 'head_*'``.
    """

    rows: tuple[ActivationRow, ...]
    skipped: tuple[Skipped, ...] = ()
    unmatched: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[ActivationRow]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def to_dict(self) -> dict[str, Any]:
        """Returns it as plain data."""
        return asdict(self)

    def to_json(self, indent: int | None = 2) -> str:
        """Returns it as JSON."""
        return json.dumps(self.to_dict(), indent=indent)

    @property
    def problems(self) -> list[str]:
        """What was asked for and not done, a line each."""
        lines = [f"{each.type} {each.name!r}: {each.reason}" for each in self.skipped]
        return lines + [f"matches no operator: {rule}" for rule in self.unmatched]

    def __str__(self) -> str:
        lines = [
            f"{row.name}: {row.dtype} [{row.low:.4g}, {row.high:.4g}], scale {row.scale:.4g}, "
            f"zero point {row.zero_point}"
            for row in self.rows
        ]
        lines += [f"skipped: {problem}" for problem in self.problems]
        return "\n".join(
            [*lines, f"{len(self.rows)} values in 8 bits, {len(self.skipped)} operators skipped"]
        )
