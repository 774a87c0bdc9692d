"""Parts of a program that float16 is too coarse for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import Final

from mlpress.mil import Block, Constant, Operation, TensorType, Value

_CHEAP: Final = frozenset(
    {
        *("abs", "add", "cast", "clip", "concat", "cos", "expand_dims", "floor", "gather", "identity"),
        *("maximum", "minimum", "mul", "real_div", "relu", "reshape", "round", "rsqrt", "sign", "sin"),
        *("slice_by_index", "split", "sqrt", "square", "squeeze", "stack", "sub", "tile", "transpose"),
    }
)
"""Ops that cost little in either precision, so that they may save casts."""

_OF_SIZES: Final = _CHEAP | {"ceil", "exp", "log", "pow", "range_1d"}

_ANGLES: Final = _CHEAP | {"ceil", "exp", "log", "matmul", "pow"}


def angles_of_positions(block: Block) -> set[Operation]:
    """Returns what computes the arguments of sines and cosines from integers.

    Float16 tells integers apart up to 2048 only: beyond, the angles of rotary embeddings are off by radians.
    """
    return _chains(block, lambda node: node.type in ("sin", "cos"))


def integers_of_integers(block: Block) -> set[Operation]:
    """Returns what computes integers, such as buckets of positions, from integers by way of floats."""
    return _chains(block, lambda node: node.type == "cast" and not _is_float(node.outputs[0]))


def _chains(block: Block, is_last: Callable[[Operation], bool]) -> set[Operation]:
    """Returns the operations that chosen ones are computed by from integers, these included."""
    operations = [node for node in block.operations if isinstance(node, Operation)]
    makers = {value: node for node in operations for value in node.outputs}
    constants = {node.output for node in block.operations if isinstance(node, Constant)}
    found: set[Operation] = set()
    for node in filter(is_last, operations):
        found |= _from_integers(node, makers, constants) or set()
    return found


def numbers_of_sizes(block: Block) -> set[Operation]:
    """Returns what computes floats from sizes alone, such as the places where an image is resized."""
    known = {node.output for node in block.operations if isinstance(node, Constant)}
    found: set[Operation] = set()
    sizes: set[Value] = set()
    for node in block.operations:
        if not isinstance(node, Operation):
            continue
        operands = set(_values(node)) - known
        if node.type == "shape":
            sizes |= set(node.outputs)
        elif operands and operands <= sizes and node.type in _OF_SIZES:
            sizes |= set(node.outputs)
            if any(map(_is_float, (*operands, *node.outputs))):
                found.add(node)
    return found


def _from_integers(
    last: Operation, makers: dict[Value, Operation], constants: Collection[Value]
) -> set[Operation] | None:
    """Returns all that `last` is computed from by, back to integers; None if anything else is among it."""
    found, waiting = {last}, [last]
    whole = False
    while waiting:
        for value in _float_operands(waiting.pop()):
            if value in constants:
                continue
            maker = makers.get(value)
            if maker is None or maker.type not in _ANGLES:
                return None
            if maker.type == "cast" and not any(_is_float(operand) for operand in _values(maker)):
                whole = True
            if maker not in found:
                found.add(maker)
                waiting.append(maker)
    return found if whole else None


def between(block: Block, islands: Collection[Operation]) -> set[Operation]:
    """Returns cheap operations that lie between islands only: casting down and up again costs more."""
    makers = {
        value: node for node in block.operations if isinstance(node, Operation) for value in node.outputs
    }
    users: dict[Value, list[Operation | None]] = {}
    for node in block.operations:
        if isinstance(node, Operation):
            for value in _values(node):
                users.setdefault(value, []).append(node)
    for value in block.outputs:
        users.setdefault(value, []).append(None)
    operations = [node for node in block.operations if isinstance(node, Operation)]
    behind, ahead = set(islands), set(islands)
    for node in operations:
        sources = [makers[value] for value in _float_operands(node) if value in makers]
        if node.type in _CHEAP and sources and all(source in behind for source in sources):
            behind.add(node)
    for node in reversed(operations):
        followers = [user for value in node.outputs for user in users.get(value, [])]
        if node.type in _CHEAP and followers and all(user in ahead for user in followers):
            ahead.add(node)
    return (behind & ahead) - set(islands)


def _values(node: Operation) -> Iterator[Value]:
    for _, operand in node.operands():
        if isinstance(operand, Value):
            yield operand
    for block in node.blocks:
        for inner in block.walk():
            if isinstance(inner, Operation):
                yield from (operand for _, operand in inner.operands() if isinstance(operand, Value))


def _float_operands(node: Operation) -> Iterator[Value]:
    return (value for value in _values(node) if _is_float(value))


def _is_float(value: Value) -> bool:
    return isinstance(value.type, TensorType) and value.type.dtype.is_float
