"""Sums of products over named axes, as matrix products."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from mlpress.converter.lowering.context import Context
from mlpress.converter.lowering.errors import LoweringError
from mlpress.converter.lowering.registry import lowers
from mlpress.converter.lowering.sizes import Size, known
from mlpress.mil import Value

_MAX_RANK = 5


@dataclass(frozen=True, slots=True)
class _Term:
    """A tensor and a letter for each of its axes."""

    value: Value
    axes: str


@lowers("aten.einsum.default")
def einsum(context: Context, equation: str, values: Sequence[Value], path: object = None) -> Value:
    """The sum that `equation` writes, pair of operands by pair."""
    del path
    inputs, output = _letters(context, equation, values)
    terms = [_Term(value, axes) for value, axes in zip(values, inputs, strict=True)]
    result = terms[0]
    for index, term in enumerate(terms[1:], start=1):
        later = set("".join(other.axes for other in terms[index + 1 :])) | set(output)
        result = _product(context, result, term, later)
    return _ordered(context, _summed(context, result, set(output)), output).value


def _letters(context: Context, equation: str, values: Sequence[Value]) -> tuple[list[str], str]:
    left, arrow, right = equation.replace(" ", "").partition("->")
    inputs = left.split(",")
    spare = [letter for letter in "ZYXWVUTS" if letter not in equation]
    dots = [
        context.rank(value) - len(part.replace("...", "")) for value, part in zip(values, inputs, strict=True)
    ]
    most = max((count for count, part in zip(dots, inputs, strict=True) if "..." in part), default=0)
    names = "".join(spare[:most])
    inputs = [
        part.replace("...", names[most - count :] if count else "")
        for count, part in zip(dots, inputs, strict=True)
    ]
    together = "".join(inputs)
    if not arrow:
        once = sorted(
            letter for letter in set(together) if together.count(letter) == 1 and letter not in names
        )
        return inputs, names + "".join(once)
    if any(len(set(part)) < len(part) for part in inputs):
        raise LoweringError(f"einsum {equation!r} takes a diagonal")
    return inputs, right.replace("...", names)


def _summed(context: Context, term: _Term, kept: set[str]) -> _Term:
    """Sums over the axes that nothing after this has."""
    gone = [index for index, letter in enumerate(term.axes) if letter not in kept]
    if not gone:
        return term
    value = context.op("reduce_sum", x=term.value, axes=gone, keep_dims=False)
    return _Term(value, "".join(letter for letter in term.axes if letter in kept))


def _ordered(context: Context, term: _Term, axes: str) -> _Term:
    """Brings the axes of a term into the order `axes`, new ones with size 1."""
    present = [letter for letter in axes if letter in term.axes]
    value = context.transpose(term.value, [term.axes.index(letter) for letter in present])
    return _Term(context.expand_dims(value, [i for i, a in enumerate(axes) if a not in term.axes]), axes)


def _product(context: Context, x: _Term, y: _Term, later: set[str]) -> _Term:
    x = _summed(context, x, later | set(y.axes))
    y = _summed(context, y, later | set(x.axes))
    both = [letter for letter in x.axes if letter in y.axes]
    batch = [letter for letter in both if letter in later]
    inner = [letter for letter in both if letter not in later]
    rows = [letter for letter in x.axes if letter not in both]
    columns = [letter for letter in y.axes if letter not in both]
    if not inner:
        axes = "".join(batch + rows + columns)
        return _Term(
            context.op("mul", x=_ordered(context, x, axes).value, y=_ordered(context, y, axes).value), axes
        )
    sizes = dict(zip(x.axes, context.shape(x.value), strict=True)) | dict(
        zip(y.axes, context.shape(y.value), strict=True)
    )
    groups = [[letter] for letter in batch] if len(batch) <= _MAX_RANK - 2 else [batch]
    first = _grouped(context, x, [*groups, rows, inner], sizes)
    second = _grouped(context, y, [*groups, inner, columns], sizes)
    product = context.op("matmul", x=first, y=second)
    axes = "".join(batch + rows + columns)
    return _Term(context.reshape(product, [sizes[letter] for letter in axes]), axes)


def _grouped(context: Context, term: _Term, groups: Sequence[Sequence[str]], sizes: dict[str, Size]) -> Value:
    """Returns a term with one axis for each group of letters."""
    value = _ordered(context, term, "".join(letter for group in groups for letter in group)).value
    if all(len(group) == 1 for group in groups):
        return value
    merged = [math.prod(sizes[letter] for letter in group) for group in groups]
    return context.reshape(value, [size if known(size) is None else known(size) or 0 for size in merged])
