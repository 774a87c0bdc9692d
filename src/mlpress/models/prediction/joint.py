"""Enumerated inputs go together: each has the shape at the same place of its list (iOS 18)."""

from __future__ import annotations

from collections.abc import Mapping

from mlpress.errors import MlpressError
from mlpress.models.prediction.shapes import Enumerated, Shape, Shapes, shape_text


def joint_position(allowed: Mapping[str, Shapes], given: Mapping[str, Shape]) -> int:
    """Returns the place in the lists of enumerated shapes that `given` stand for; the first of several.

    Args:
        allowed: What each input of the model may have.
        given: What each input that was handed in has; each is allowed by itself.

    Raises:
        MlpressError: No place of the lists has all shapes that are given.
    """
    lists = {name: shapes for name, shapes in allowed.items() if isinstance(shapes, Enumerated)}
    lengths = {len(shapes.shapes) for shapes in lists.values()}
    if len(lengths) != 1:
        return 0  # no lists, or lists that can't go together place by place
    places = {name: lists[name].positions(shape) for name, shape in given.items() if name in lists}
    common = frozenset(range(lengths.pop())).intersection(*places.values())
    if not common:
        shapes = ", ".join(f"{name!r} of {shape_text(given[name])}" for name in places)
        raise MlpressError(f"the inputs {shapes} do not go together; the model takes {_combinations(lists)}")
    return min(common)


def _combinations(lists: Mapping[str, Enumerated]) -> str:
    rows = zip(*(shapes.shapes for shapes in lists.values()), strict=True)
    texts = (f"({', '.join(map(shape_text, row))})" for row in rows)
    return f"({', '.join(lists)}) as {' or '.join(texts)}"
