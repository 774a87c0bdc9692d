"""Shortens chains of operations that only move elements, and lets them pass operations that do not care."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from mlpress.converter.passes.editor import Editor, shape_of, typed_like
from mlpress.converter.passes.moves import Move, Reshape, Shape, Transpose, keeps_axes, shape_after, shortest
from mlpress.converter.passes.rank import MAX_RANK, with_few_axes
from mlpress.mil import Operand, Operation, Value

_KINDS: Final = ("transpose", "reshape", "expand_dims", "squeeze")

_COMMON_RANK: Final = 4
"""Number of axes that every op takes."""

_ELEMENTWISE: Final = [
    "abs",
    "cast",
    "ceil",
    "clip",
    "cos",
    "elu",
    "erf",
    "exp",
    "floor",
    "gelu",
    "leaky_relu",
    "log",
    "logical_not",
    "relu",
    "relu6",
    "round",
    "rsqrt",
    "sigmoid",
    "sigmoid_hard",
    "sign",
    "silu",
    "sin",
    "softplus",
    "softsign",
    "sqrt",
    "square",
    "tanh",
]

_WITH_CONSTANT: Final = ("add", "maximum", "minimum", "mul", "real_div", "sub")
"""Elementwise, too, where one side is a constant."""

_PASSED: Final = (*_ELEMENTWISE, *_WITH_CONSTANT, "linear", "layer_norm")


def shorten_moves(editor: Editor) -> None:
    """Replaces each chain of transposes and reshapes by the shortest one that does the same."""
    for last in list(editor.operations(*_KINDS)):
        if editor.only_user(last.outputs[0], *_KINDS) is not None or not _is_used(editor, last):
            continue
        chain = _chain(editor, last)
        moves = [_move(editor, operation) for operation in chain]
        if any(move is None for move in moves):
            continue
        source: Any = chain[0].inputs["x"]
        short = shortest(shape_of(source), [move for move in moves if move is not None])
        if len(short) < len(chain) and all(_can_be_written(move) for move in short):
            _write(editor, last, source, short)


def limit_rank(editor: Editor) -> None:
    """Writes chains of moves through more than five axes with fewer."""
    for last in list(editor.operations(*_KINDS)):
        if editor.only_user(last.outputs[0], *_KINDS) is not None or not _is_used(editor, last):
            continue
        chain = _chain(editor, last)
        if all(len(shape_of(operation.outputs[0])) <= MAX_RANK for operation in chain):
            continue
        moves = [move for operation in chain if (move := _move(editor, operation)) is not None]
        source: Any = chain[0].inputs["x"]
        narrow = with_few_axes(shape_of(source), moves) if len(moves) == len(chain) else None
        if narrow is not None:
            _write(editor, last, source, narrow)


def _is_used(editor: Editor, operation: Operation) -> bool:
    return bool(editor.users(operation.outputs[0])) or editor.is_output(operation.outputs[0])


def _chain(editor: Editor, last: Operation) -> list[Operation]:
    """Returns the moves up to `last` whose results nothing else uses, the first one first."""
    chain = [last]
    while True:
        before = editor.maker(chain[0].inputs["x"], *_KINDS)
        if before is None or not editor.used_once(before.outputs[0]) or _move(editor, before) is None:
            return chain
        chain.insert(0, before)


def _move(editor: Editor, operation: Operation) -> Move | None:
    if operation.type == "transpose":
        return Transpose(tuple(editor.literal(operation, "perm")))
    before, after = shape_of(operation.inputs["x"]), shape_of(operation.outputs[0])
    if operation.type == "reshape" and (None in before or None in after):
        return None
    return Reshape(after)


def _can_be_written(move: Move) -> bool:
    return isinstance(move, Transpose) or move.shape.count(None) <= 1


def _write(editor: Editor, last: Operation, source: Value, moves: list[Move]) -> None:
    result = last.outputs[0]
    if not moves:
        editor.insert(last, "identity", result, x=source)
        return
    for index, move in enumerate(moves):
        shape = shape_after(shape_of(source), [move])
        target = result if index == len(moves) - 1 else typed_like(source, shape)
        if isinstance(move, Transpose):
            source = editor.insert(last, "transpose", target, x=source, perm=list(move.perm))
        else:
            sizes = [-1 if size is None else size for size in move.shape]
            source = editor.insert(last, "reshape", target, x=source, shape=sizes)


def sink_moves(editor: Editor) -> None:
    """Lets moves pass operations that work on each element or row, so that they meet other moves."""
    for operation in list(editor.operations(*_KINDS)):
        while True:
            follower = editor.only_user(operation.outputs[0], *_PASSED)
            if follower is None or not _passes(editor, operation, follower):
                break
            moved = _swap(editor, operation, follower)
            if moved is None:
                break
            operation = moved


def _passes(editor: Editor, operation: Operation, follower: Operation) -> bool:
    """Whether another move stands behind `follower`, which leaves the moved axes alone."""
    before, after = shape_of(operation.inputs["x"]), shape_of(operation.outputs[0])
    if None in before or None in after or not before or not after:
        return False
    if len(before) > max(len(after), _COMMON_RANK) or not _meets_a_move(editor, follower):
        return False
    if follower.type in _ELEMENTWISE:
        return True
    if follower.type in _WITH_CONSTANT:
        return _constant_before(editor, operation, follower) is not None
    if follower.type == "layer_norm":
        axes = [axis % len(after) for axis in editor.literal(follower, "axes")]
        if axes != [len(after) - 1]:
            return False
    if operation.type == "transpose":
        return bool(editor.literal(operation, "perm")[-1] == len(before) - 1)
    return before[-1] == after[-1] and (follower.type != "linear" or len(before) >= 2)


def _meets_a_move(editor: Editor, operation: Operation) -> bool:
    """Whether only operations that moves can pass stand between `operation` and the next move."""
    while True:
        follower = editor.only_user(operation.outputs[0])
        if follower is None:
            return False
        if follower.type in _KINDS:
            return True
        if follower.type not in _PASSED or _source(editor, follower) is not operation.outputs[0]:
            return False
        operation = follower


def _source(editor: Editor, operation: Operation) -> Operand | tuple[Operand, ...]:
    """Returns the operand whose elements an operation works on, beside constants."""
    swapped = operation.type in _WITH_CONSTANT and editor.constant(operation.inputs["x"]) is not None
    return operation.inputs["y" if swapped else "x"]


def _constant_before(editor: Editor, move: Operation, follower: Operation) -> npt.NDArray[Any] | None:
    """Returns the constant that `follower` has to take if it stands before `move`; None if there is none."""
    source, moved = shape_of(move.inputs["x"]), shape_of(move.outputs[0])
    x, y = follower.inputs["x"], follower.inputs["y"]
    constant = editor.dense(y if _source(editor, follower) is x else x)
    if constant is None or shape_of(follower.outputs[0]) != moved:
        return None
    if constant.ndim == 0:
        return constant
    whole = constant.reshape((1,) * (len(moved) - constant.ndim) + constant.shape)
    if move.type == "transpose":
        return whole.transpose(np.argsort(editor.literal(move, "perm")))
    if not keeps_axes(source, moved):
        return None
    sizes = iter(size for size, other in zip(whole.shape, moved, strict=True) if other != 1)
    return whole.reshape([1 if size == 1 else next(sizes) for size in source])


def _swap(editor: Editor, operation: Operation, follower: Operation) -> Operation | None:
    """Puts a move behind its follower; returns the new move."""
    source: Any = operation.inputs["x"]
    move = _move(editor, operation)
    if move is None:
        return None
    result = follower.outputs[0]
    inner_shape = (
        (*shape_of(source)[:-1], shape_of(result)[-1]) if follower.type == "linear" else shape_of(source)
    )
    beside = "y" if _source(editor, follower) is follower.inputs["x"] else "x"
    operands: dict[str, Any] = {**follower.inputs, "x" if beside == "y" else "y": source}
    if follower.type == "layer_norm":
        operands["axes"] = [len(inner_shape) - 1]
    if follower.type in _WITH_CONSTANT:
        constant = _constant_before(editor, operation, follower)
        assert constant is not None
        if constant.shape != shape_of(operands[beside]):
            operands[beside] = editor.successor(operands[beside], np.ascontiguousarray(constant))
    inner = editor.insert(follower, follower.type, typed_like(result, inner_shape), **operands)
    outer: Move = move
    if isinstance(move, Reshape):
        outer = Reshape(shape_of(result))
    _write(editor, follower, inner, [outer])
    return editor.maker(result)


def slices_of_products(editor: Editor) -> None:
    """Splits a tensor in place of reshaping, moving and slicing it (queries, keys and values)."""
    for operation in list(editor.operations("reshape")):
        source: Any = operation.inputs["x"]
        before, after = shape_of(source), shape_of(operation.outputs[0])
        if None in before or None in after or not before:
            continue
        axis = _split_axis(before, after)
        if axis is not None and editor.used_once(operation.outputs[0]):
            _split(editor, source, operation, axis)


def _split_axis(before: Shape, after: Shape) -> int | None:
    """Returns the axis of `after` that the last axis of `before`, cut in two or more there, begins with."""
    for axis in range(len(after)):
        tail = 1
        for size in after[axis:]:
            tail *= size or 0
        head = [size for size in after[:axis] if size != 1]
        if tail == before[-1] and head == [size for size in before[:-1] if size != 1] and after[axis] != 1:
            return axis if axis < len(after) - 1 else None
    return None


def _split(editor: Editor, source: Value, first: Operation, axis: int) -> None:
    """Follows the axis through moves to slices that take each of its elements, and replaces them."""
    count = shape_of(first.outputs[0])[axis]
    order = list(range(len(shape_of(first.outputs[0]))))
    current = first
    while True:
        users = editor.users(current.outputs[0])
        if len(users) == 1 and users[0].type == "transpose" and editor.used_once(current.outputs[0]):
            current = users[0]
            order = [order[index] for index in editor.literal(current, "perm")]
            continue
        break
    where = order.index(axis)
    if order[:where] + order[where + 1 :] != [index for index in range(len(order)) if index != axis]:
        return
    slices = [_selected(editor, user, current.outputs[0], where) for user in users]
    if (
        sorted(index for index in slices if index is not None) != list(range(count or 0))
        or len(slices) != count
    ):
        return
    if not all(_meets_a_move(editor, user) for user in users):
        return
    shape = shape_of(source)
    part = typed_like(source, (*shape[:-1], (shape[-1] or 0) // (count or 1)))
    parts = editor.insert_several(
        users[0], "split", [part] * len(users), x=source, num_splits=count, axis=len(shape) - 1
    )
    for user, index in zip(users, slices, strict=True):
        assert index is not None
        _write(editor, user, parts[index], [Reshape(shape_of(user.outputs[0]))])


def _selected(editor: Editor, operation: Operation, source: Value, axis: int) -> int | None:
    """Returns which element along `axis` a slice takes; None if it takes anything else."""
    if operation.type != "slice_by_index" or operation.inputs["x"] is not source:
        return None
    squeezed = editor.literal(operation, "squeeze_mask")
    begin = editor.literal(operation, "begin")
    rank = len(shape_of(source))
    if (
        squeezed is None
        or begin is None
        or [bool(flag) for flag in squeezed] != [i == axis for i in range(rank)]
    ):
        return None
    whole = all(
        size == other
        for size, other in zip(
            (size for i, size in enumerate(shape_of(source)) if i != axis),
            shape_of(operation.outputs[0]),
            strict=True,
        )
    )
    return int(begin[axis]) if whole else None
