"""Shapes for random inputs: the default ones first, then others that both models take."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import numpy as np

from mlpress.errors import MlpressError
from mlpress.models.prediction import Enumerated, Ranged, Shapes
from mlpress.models.prediction.shapes import Shape

Range = tuple[int, int | None]

_SMALL: Final = 64
"""Sizes up to this are drawn, and up to twice the default size: the largest that is allowed may be huge."""


def shape_plan(
    allowed: Mapping[str, Shapes], also_allowed: Mapping[str, Shapes], random: np.random.Generator
) -> Iterator[dict[str, Shape]]:
    """Yields a shape for each input, for ever.

    The default shapes come first. Enumerated shapes follow in turn, at the same place for all inputs. Sizes
    within a range are drawn; axes with the same range have the same size, since a program that takes two
    sequences mostly wants them of one length. Where `also_allowed` forbids a choice, the default shapes come
    again.

    Args:
        allowed: What one model takes.
        also_allowed: What the other model takes.
        random: Where sizes come from.

    Raises:
        MlpressError: The default shapes of neither model are allowed by the other.
    """
    defaults = [{name: shapes.default for name, shapes in each.items()} for each in (allowed, also_allowed)]
    usual = next((one for one in defaults if _accepts(allowed, one) and _accepts(also_allowed, one)), None)
    if usual is None:
        raise MlpressError(_clash(allowed, also_allowed))
    yield usual
    turn = 0
    while True:
        drawn = _drawn(allowed, turn, random)
        yield drawn if _accepts(also_allowed, drawn) else usual
        turn += 1


def _accepts(allowed: Mapping[str, Shapes], chosen: Mapping[str, Shape]) -> bool:
    return all(shapes.accepts(chosen[name]) for name, shapes in allowed.items())


def _clash(allowed: Mapping[str, Shapes], others: Mapping[str, Shapes]) -> str:
    name = next(
        name
        for name, shapes in allowed.items()
        if not (others[name].accepts(shapes.default) and shapes.accepts(others[name].default))
    )
    return f"input {name!r} has different shapes: one model takes {allowed[name]}, the other {others[name]}"


def _drawn(allowed: Mapping[str, Shapes], turn: int, random: np.random.Generator) -> dict[str, Shape]:
    sizes: dict[Range, int] = {}
    return {name: _shape(shapes, turn, sizes, random) for name, shapes in allowed.items()}


def _shape(shapes: Shapes, turn: int, sizes: dict[Range, int], random: np.random.Generator) -> Shape:
    match shapes:
        case Enumerated():
            return shapes.shapes[turn % len(shapes.shapes)]
        case Ranged():
            chosen = []
            for (low, high), usual in zip(shapes.ranges, shapes.default, strict=True):
                if (low, high) not in sizes:
                    sizes[low, high] = _size(low, high, usual, random)
                chosen.append(sizes[low, high])
            return tuple(chosen)
    return shapes.default


def _size(low: int, high: int | None, usual: int, random: np.random.Generator) -> int:
    low = max(low, 1)
    last = max(low, 2 * usual, _SMALL)
    return int(random.integers(low, (last if high is None else min(last, high)) + 1))
