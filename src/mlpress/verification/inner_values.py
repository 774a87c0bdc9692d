"""Compares the values inside two programs, operation by operation."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING

from mlpress.mil import Block, Function, Operation, Value
from mlpress.verification.rows import OperationRow, Row
from mlpress.verification.sides import ModelSide, Sample
from mlpress.verification.sums import Sums

if TYPE_CHECKING:
    from mlpress.runtime import Tap


class InnerValues:
    """Sums for the values that two programs have under the same name."""

    def __init__(self, reference: ModelSide, model: ModelSide) -> None:
        """Finds out which values both have; nothing is run yet."""
        self._sides = reference, model
        self._common = reference.value_names() & model.value_names()
        self._sums: dict[str, Sums] = {}
        self._operations: dict[str, str] = {}

    def add(self, sample: Sample) -> None:
        """Runs both programs side by side; a tensor of the model is kept until the reference has its own.

        Values of different shapes are not compared.
        """
        reference, model = (side.values(sample) for side in self._sides)
        waiting: dict[str, Tap] = {}
        for ours in reference:
            if ours.name in self._common:
                theirs = waiting.pop(ours.name, None) or self._advance(model, ours.name, waiting)
                if theirs is not None and theirs.tensor.shape == ours.tensor.shape:
                    self._operations[ours.name] = theirs.operation
                    sums = self._sums.setdefault(ours.name, Sums())
                    sums.add(ours.tensor.cpu().numpy(), theirs.tensor.cpu().numpy())

    def _advance(self, values: Iterator[Tap], name: str, waiting: dict[str, Tap]) -> Tap | None:
        """Returns the one of `values` called `name`; those that will be asked for go to `waiting`."""
        for tap in values:
            if tap.name == name:
                return tap
            if tap.name in self._common:
                waiting[tap.name] = tap
        return None

    def rows(self) -> Iterator[OperationRow]:
        """Yields a row for each value that was compared, in program order, inputs left out."""
        rows = {name: sums.row(name) for name, sums in self._sums.items()}
        levels = _input_levels(self._sides[1].function, rows)
        for name, row in rows.items():
            kind = self._operations[name]
            if kind != "input":
                yield OperationRow(**asdict(row), operation=kind, inputs_snr_db=levels[name])


def _input_levels(function: Function, rows: Mapping[str, Row]) -> dict[str, float]:
    """Returns for each value the lowest signal-to-noise ratio of what it is computed from, in dB.

    A value that was not compared stands for what it is computed from itself.
    """
    levels: dict[str, float] = {}
    heights: dict[Value, float] = {}
    for value in function.inputs:
        heights[value] = _level(rows.get(value.name), math.inf)
    for node in function.block.operations:
        if not isinstance(node, Operation):
            continue
        before = min((heights.get(value, math.inf) for value in _used(node)), default=math.inf)
        for output in node.outputs:
            levels[output.name] = before
            heights[output] = _level(rows.get(output.name), before)
    return levels


def _used(node: Operation) -> Iterator[Value]:
    """Yields the values that `node` and the blocks inside it use."""
    for inner in (node, *_inside(node.blocks)):
        for _, operand in inner.operands():
            if isinstance(operand, Value):
                yield operand


def _inside(blocks: list[Block]) -> Iterator[Operation]:
    return (inner for block in blocks for inner in block.walk() if isinstance(inner, Operation))


def _level(row: Row | None, otherwise: float) -> float:
    return row.snr_db if row is not None and row.is_comparable else otherwise
