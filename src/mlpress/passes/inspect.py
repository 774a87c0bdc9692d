"""What a program holds: operators, weights and how each is stored."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

from mlpress.encoding import describe
from mlpress.mil import Operation, Program, canonical_nbytes
from mlpress.passes.weights import Totals, Weight, totals, weights


@dataclass(frozen=True, slots=True)
class WeightRow:
    """One weight.

    Attributes:
        name: Name of the constant.
        function: Function that it belongs to.
        operations: Type and name of the operators that use it.
        shape: Its dense shape.
        dtype: Type of its elements once decoded.
        encoding: How it is stored.
        nbytes: Bytes that it takes in the file, headers aside.
    """

    name: str
    function: str
    operations: tuple[tuple[str, str], ...]
    shape: tuple[int, ...]
    dtype: str
    encoding: str
    nbytes: int

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def bits_per_weight(self) -> float:
        """Bits that an element takes, tables, scales and masks included."""
        return 8 * self.nbytes / self.size if self.size else 0.0


@dataclass(frozen=True, slots=True)
class FunctionRow:
    """A function: its name, the opset that it is written in, and how often it uses each type of operator."""

    name: str
    opset: str
    operators: dict[str, int]


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a program holds.

    Attributes:
        functions: Its functions.
        rows: Its weights in program order.
        totals: Size of all of them.
    """

    functions: tuple[FunctionRow, ...]
    rows: tuple[WeightRow, ...]
    totals: Totals

    def to_dict(self) -> dict[str, Any]:
        """Returns functions, weights and totals as plain data."""
        return {
            "functions": [asdict(function) for function in self.functions],
            "weights": [asdict(row) | {"bits_per_weight": row.bits_per_weight} for row in self.rows],
            "totals": asdict(self.totals) | {"bits_per_weight": self.totals.bits_per_weight},
        }


def inspect(program: Program) -> Inspection:
    """Lists the operators and weights of `program`; no weight is read."""
    found = list(weights(program))
    return Inspection(tuple(_functions(program)), tuple(map(_row, found)), totals(found))


def _row(weight: Weight) -> WeightRow:
    return WeightRow(
        name=weight.constant.name,
        function=weight.function_name,
        operations=tuple(weight.operations),
        shape=weight.encoding.shape,
        dtype=weight.encoding.dtype.name,
        encoding=describe(weight.encoding),
        nbytes=canonical_nbytes(weight.encoding, weight.function.opset),
    )


def _functions(program: Program) -> list[FunctionRow]:
    rows = []
    for name, function in program.functions.items():
        counts = Counter(node.type for node in function.block.walk() if isinstance(node, Operation))
        rows.append(FunctionRow(name, function.opset.name, dict(counts.most_common())))
    return rows
