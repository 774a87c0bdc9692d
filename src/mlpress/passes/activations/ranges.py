"""Ranges of values, and those that have to be the same."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mlpress.errors import MlpressError
from mlpress.mil import Block, Constant, Operation, Value


@dataclass(frozen=True, slots=True)
class Range:
    """What a value lies between: ``low <= x <= high``, both finite."""

    low: float
    high: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low <= self.high):
            raise MlpressError(f"a range is two finite numbers, low <= high, not {self.low} and {self.high}")

    def __or__(self, other: Range) -> Range:
        """The least range that holds both."""
        return Range(min(self.low, other.low), max(self.high, other.high))


def joined_by_concat(block: Block) -> list[frozenset[str]]:
    """Returns the sets of names that share a range: what goes into a ``concat`` and what comes out.

    A concatenation of integers needs one scale. Sets of two that share a member are one.
    """
    constants = {node.output for node in block.operations if isinstance(node, Constant)}
    found: list[frozenset[str]] = []
    for node in block.operations:
        if isinstance(node, Operation) and node.type == "concat":
            joined = frozenset(_live_values(node, constants)) | {node.outputs[0].name}
            for touching in [names for names in found if names & joined]:
                found.remove(touching)
                joined |= touching
            found.append(joined)
    return found


def _live_values(concat: Operation, constants: set[Value]) -> Iterable[str]:
    for parameter, operand in concat.operands():
        if parameter == "values" and isinstance(operand, Value) and operand not in constants:
            yield operand.name


def share(ranges: Mapping[str, Range], groups: Iterable[frozenset[str]]) -> dict[str, Range]:
    """Returns `ranges` with one range, that holds all of theirs, for the names of each group."""
    shared = dict(ranges)
    for group in groups:
        known = [name for name in group if name in ranges]
        for name in known:
            for other in known:
                shared[name] |= ranges[other]
    return shared
