"""Which integers an input may hold where a program uses it to look something up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from mlpress.bits import Tensor
from mlpress.encoding import Dense, Encoding
from mlpress.mil import Constant, Function, Literal, Operand, Operation, TensorType, Value

_SAME_INTEGERS: Final[Mapping[str, tuple[str, ...]]] = {
    "cast": ("x",),
    "concat": ("values",),
    "expand_dims": ("x",),
    "gather": ("x",),
    "identity": ("x",),
    "reshape": ("x",),
    "select": ("a", "b"),
    "slice_by_index": ("x",),
    "slice_by_size": ("x",),
    "split": ("x",),
    "squeeze": ("x",),
    "stack": ("values",),
    "tile": ("x",),
    "transpose": ("x",),
}
"""Operators whose results hold integers of some operands, with the parameters of these."""

_LOOKUPS: Final = ("gather", "gather_along_axis")

Origins = Mapping[str, int]
"""Inputs that integers come from, with what was added to them."""


def common_bounds(functions: Iterable[Function]) -> dict[str, int]:
    """Returns the smallest of the `index_bounds` of all `functions` for each input."""
    bounds: dict[str, int] = {}
    for function in functions:
        for name, bound in index_bounds(function).items():
            bounds[name] = min(bound, bounds.get(name, bound))
    return bounds


def index_bounds(function: Function) -> dict[str, int]:
    """Returns by name how many rows the smallest table has that an input of `function` looks up.

    An index is followed through operators that only move integers, through additions of a constant (positions
    that start at 2, say) and through selections (programs add the size of the table to negative indices).
    """
    origins: dict[Value, Origins] = {value: {value.name: 0} for value in function.inputs}
    numbers: dict[Value, int] = {}
    bounds: dict[str, int] = {}
    for node in function.block.operations:
        if isinstance(node, Constant):
            number = _integer(node.data)
            if number is not None:
                numbers[node.output] = number
            continue
        rows = _rows(node, numbers)
        for name, added in _origins(node, ("indices",), origins).items() if rows else ():
            # Where adding leaves no index, it is for negative ones, which are never drawn.
            if rows > added:
                bounds[name] = min(rows - added, bounds.get(name, rows))
        found = _followed(node, origins, numbers)
        origins |= dict.fromkeys(node.outputs, found)
    return bounds


def _followed(node: Operation, origins: Mapping[Value, Origins], numbers: Mapping[Value, int]) -> Origins:
    """Returns where the integers of the results of `node` come from."""
    if node.type != "add":
        return _origins(node, _SAME_INTEGERS.get(node.type, ()), origins)
    known = [number for key in "xy" if (number := _number(node.inputs.get(key), numbers)) is not None]
    if len(known) != 1:
        return {}
    return {name: added + known[0] for name, added in _origins(node, ("x", "y"), origins).items()}


def _origins(node: Operation, parameters: tuple[str, ...], origins: Mapping[Value, Origins]) -> Origins:
    found: dict[str, int] = {}
    for parameter, operand in node.operands():
        if parameter in parameters and isinstance(operand, Value):
            for name, added in origins.get(operand, {}).items():
                found[name] = min(added, found.get(name, added))
    return found


def _rows(node: Operation, numbers: Mapping[Value, int]) -> int:
    """Returns how many rows `node` can look up, 0 if it looks nothing up or if only a run can tell."""
    table = node.inputs.get("x")
    if node.type not in _LOOKUPS or not isinstance(table, Value) or not isinstance(table.type, TensorType):
        return 0
    axis = _number(node.inputs.get("axis"), numbers) or 0
    return table.type.shape[axis] or 0


def _number(operand: Operand | tuple[Operand, ...] | None, numbers: Mapping[Value, int]) -> int | None:
    if isinstance(operand, Literal):
        return _integer(operand)
    return numbers.get(operand) if isinstance(operand, Value) else None


def _integer(data: Encoding | Literal) -> int | None:
    """Returns a constant that is a single integer as such, None for any other."""
    match data:
        case Dense(Tensor() as values) | Literal(value=Tensor() as values):
            if values.dtype.is_integer and values.shape in ((), (1,)):
                return int(values.numpy().reshape(()))
    return None
