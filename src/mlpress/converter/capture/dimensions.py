"""The dimensions of a captured graph that stay open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sympy
import torch
from torch.export import Dim, ExportedProgram
from torch.utils._sympy.numbers import int_oo

from mlpress.converter.capture.captured import Dimension, Input
from mlpress.converter.capture.errors import SpecializedDimensionError

Asked = Mapping[str, Mapping[int, Any]]
"""By input and axis, what a user asked for: a `torch.export.Dim` or one of its hints."""


def open_dimensions(program: ExportedProgram, inputs: Sequence[Input], asked: Asked) -> tuple[Dimension, ...]:
    """The symbols in the shapes of the inputs, with the names and ranges that the user gave them.

    Raises:
        SpecializedDimensionError: A dimension that the user asked to keep open is a number.
    """
    _check(inputs, asked)
    names: dict[sympy.Symbol, str] = {}
    symbols: dict[sympy.Symbol, None] = {}
    for given in inputs:
        for axis, size in enumerate(given.shape):
            if isinstance(size, torch.SymInt):
                symbols |= dict.fromkeys(sorted(size.node.expr.free_symbols, key=str))
                name = getattr(asked.get(given.name, {}).get(axis), "__name__", None)
                if name is not None and size.node.expr.is_symbol:
                    names.setdefault(size.node.expr, name)
    return tuple(_dimension(program, symbol, names.get(symbol, str(symbol))) for symbol in symbols)


def _dimension(program: ExportedProgram, symbol: sympy.Symbol, name: str) -> Dimension:
    bounds = program.range_constraints.get(symbol)
    if bounds is None:
        return Dimension(symbol, name, 1, None)
    maximum = None if bounds.upper in (int_oo, sympy.oo) else int(bounds.upper)
    return Dimension(symbol, name, max(1, int(bounds.lower)), maximum)


def _check(inputs: Sequence[Input], asked: Asked) -> None:
    fixed = [
        f"axis {axis} of {given.name!r} ({getattr(dimension, '__name__', dimension)}) is {given.shape[axis]}"
        for given in inputs
        for axis, dimension in asked.get(given.name, {}).items()
        if dimension != Dim.AUTO and not _is_open(given.shape[axis])
    ]
    if fixed:
        raise SpecializedDimensionError(
            f"dimensions that should stay open are fixed in the model's code: {'; '.join(fixed)}"
        )


def _is_open(size: int | torch.SymInt) -> bool:
    return isinstance(size, torch.SymInt) and not size.node.expr.is_number
