"""Decisions that a model's code takes by sizes which are to stay open."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import sympy
import torch
from torch.export import ExportedProgram

from mlpress.converter.capture.captured import Input
from mlpress.converter.capture.dimensions import Asked
from mlpress.converter.capture.errors import SpecializedDimensionError
from mlpress.converter.capture.source import is_torch

_EACH: Final = 64
"""Sizes up to here above the smallest are all tried; beyond, powers of two and their neighbours."""

_MOST: Final = 1 << 12
"""How many combinations of sizes are tried for a decision."""


def check_decisions(program: ExportedProgram, inputs: Sequence[Input], asked: Asked) -> None:
    """Checks that the model's own code takes each decision in one way for all sizes that were asked for.

    A branch or an ``int()`` in it is taken as it is for the example, so that the graph would be wrong for
    sizes for which it goes the other way. Those inside of torch, mostly about sizes it refuses, are not seen.

    Raises:
        SpecializedDimensionError: It decides differently for some.
    """
    symbols = _symbols(inputs, asked)
    environment = next(
        (value.fake_mode.shape_env for value in _values(program) if hasattr(value, "fake_mode")), None
    )
    if environment is None or not symbols:
        return
    for guard in environment.guards:
        place = guard.sloc.framework_loc
        if place is None or isinstance(place, str) or is_torch(place.filename):
            continue
        other = _exception(guard.expr, {symbol: sizes for symbol, (_, sizes) in symbols.items()})
        if other is not None:
            names = [f"{symbol} is {symbols[symbol][0]}" for symbol in other]
            sizes = ", ".join(f"{symbol} = {size}" for symbol, size in other.items())
            raise SpecializedDimensionError(
                f"the code decides by an open size at {place.filename}:{place.lineno}: {place.line}\n"
                f"what was captured is right where {guard.expr}, and not for {sizes} ({'; '.join(names)}). "
                f"Narrow the range, or write it so that the size stays symbolic"
            )


def _values(program: ExportedProgram) -> Iterator[Any]:
    return (node.meta.get("val") for node in program.graph.nodes)


def _symbols(inputs: Sequence[Input], asked: Asked) -> dict[sympy.Symbol, tuple[str, list[int]]]:
    """Returns for each symbol where it stands, and sizes that it may have."""
    found: dict[sympy.Symbol, tuple[str, list[int]]] = {}
    for given in inputs:
        for axis, dimension in asked.get(given.name, {}).items():
            size = given.shape[axis]
            if isinstance(size, torch.SymInt) and isinstance(size.node.expr, sympy.Symbol):
                sizes = _sizes(getattr(dimension, "min", None), getattr(dimension, "max", None))
                found.setdefault(size.node.expr, (f"axis {axis} of {given.name!r}", sizes))
    return found


def _sizes(least: int | None, most: int | None) -> list[int]:
    first = max(2, int(least or 0))  # torch has no open size of 1
    last = 1 << 16 if most is None or most > 1 << 16 else int(most)
    powers = (size + step for power in range(17) for size in (1 << power,) for step in (-1, 0, 1))
    tried = {*range(first, first + _EACH), *powers, last}
    return sorted(size for size in tried if first <= size <= last)


def _exception(
    condition: sympy.Basic, sizes: Mapping[sympy.Symbol, list[int]]
) -> dict[sympy.Symbol, int] | None:
    """Returns sizes for which a condition does not hold, None if there are none or it is about others."""
    symbols = sorted(condition.free_symbols, key=str)
    if not symbols or not all(symbol in sizes for symbol in symbols):
        return None
    for tried in itertools.islice(itertools.product(*(sizes[symbol] for symbol in symbols)), _MOST):
        chosen = dict(zip(symbols, tried, strict=True))
        if (
            condition.xreplace({symbol: sympy.Integer(size) for symbol, size in chosen.items()})
            == sympy.false
        ):
            return chosen
    return None
