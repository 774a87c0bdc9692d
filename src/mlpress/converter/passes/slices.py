"""Fewer operations for slices: those of slices, and those that share a tensor out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from mlpress.converter.passes.editor import Editor, rank_of, shape_of, typed_like
from mlpress.mil import Operation, Value

_BOUNDS: Final = ("begin", "end", "stride", "begin_mask", "end_mask", "squeeze_mask")


@dataclass(frozen=True, slots=True)
class _Slice:
    """A `slice_by_index` with constant bounds.

    Attributes:
        operation: The operation.
        bounds: Its parameters, each with an entry for each axis.
        axes: The axes along which it does not take everything as it is.
    """

    operation: Operation
    bounds: dict[str, list[Any]]
    axes: frozenset[int]


def merge_slices(editor: Editor) -> None:
    """Takes slices of a slice from its source, if they are along other axes."""
    for operation in list(editor.operations("slice_by_index")):
        inner, result = _slice(editor, operation), operation.outputs[0]
        if inner is None or any(inner.bounds["squeeze_mask"]) or editor.is_output(result):
            continue
        users = editor.users(result)
        outer = [found for user in users if (found := _slice(editor, user)) and not inner.axes & found.axes]
        for each in outer if len(outer) == len(users) else []:
            bounds: dict[str, Any] = {
                name: [
                    (inner if axis in inner.axes else each).bounds[name][axis]
                    for axis in range(rank_of(result))
                ]
                for name in _BOUNDS
            }
            source = operation.inputs["x"]
            editor.insert(each.operation, "slice_by_index", each.operation.outputs[0], x=source, **bounds)


def share_out(editor: Editor) -> None:
    """Lets one `split` make slices that follow each other and make up a tensor."""
    done: set[Value] = set()
    for operation in list(editor.operations("slice_by_index")):
        source: Any = operation.inputs["x"]
        if source in done:
            continue
        done.add(source)
        slices = [found for user in editor.users(source) if (found := _slice(editor, user))]
        for axis in range(rank_of(source)):
            parts = _parts(slices, axis, shape_of(source)[axis])
            if len(parts) > 1:
                _split(editor, operation, parts, axis)
                break


def transpose_once(editor: Editor) -> None:
    """Transposes a tensor in place of the parts that `split` makes of it, if all are transposed alike."""
    for operation in list(editor.operations("split")):
        users = [editor.only_user(part, "transpose") for part in operation.outputs]
        perms = [None if user is None else editor.literal(user, "perm") for user in users]
        perm = perms[0]
        if perm is None or any(other != perm for other in perms):
            continue
        source, results = operation.inputs["x"], [user.outputs[0] for user in users if user is not None]
        shape = shape_of(source)
        kind = typed_like(source, [shape[axis] for axis in perm])
        turned = editor.insert(operation, "transpose", kind, x=source, perm=perm)
        axis = perm.index(editor.literal(operation, "axis") % len(perm))
        operands = {**operation.inputs, "x": turned, "axis": axis}
        made = editor.insert_several(operation, "split", [value.type for value in results], **operands)
        for result, value in zip(results, made, strict=True):
            maker = editor.maker(result)
            assert maker is not None
            editor.insert(maker, "identity", result, x=value)


def _parts(slices: Sequence[_Slice], axis: int, total: int | None) -> list[Operation]:
    """Returns slices along `axis` alone in the order in which they make up a tensor; none if they do not."""
    ranges: list[tuple[int, int, Operation]] = []
    for part in slices:
        plain = part.bounds["stride"][axis] == 1 and not part.bounds["squeeze_mask"][axis]
        if total is not None and plain and part.axes == {axis}:
            begin = 0 if part.bounds["begin_mask"][axis] else part.bounds["begin"][axis] % total
            size = shape_of(part.operation.outputs[0])[axis] or 0
            ranges.append((begin, begin + size, part.operation))
    ranges.sort(key=lambda part: part[:2])
    edges = [0, *(end for _, end, _ in ranges)]
    fits = [begin for begin, _, _ in ranges] == edges[:-1] and edges[-1] == total
    return [operation for _, _, operation in ranges] if fits else []


def _split(editor: Editor, before: Operation, parts: Sequence[Operation], axis: int) -> None:
    source, types = before.inputs["x"], [part.outputs[0].type for part in parts]
    sizes = [shape_of(part.outputs[0])[axis] for part in parts]
    made = editor.insert_several(before, "split", types, x=source, split_sizes=sizes, axis=axis)
    for part, value in zip(parts, made, strict=True):
        editor.insert(part, "identity", part.outputs[0], x=value)


def _slice(editor: Editor, operation: Operation) -> _Slice | None:
    if operation.type != "slice_by_index":
        return None
    rank = rank_of(operation.inputs["x"])
    bounds: dict[str, list[Any]] = {}
    for name in _BOUNDS:
        if name in operation.inputs:
            bounds[name] = editor.literal(operation, name)
        else:
            bounds[name] = [1 if name == "stride" else False] * rank
    if None in bounds.values():
        return None
    axes = (
        axis
        for axis in range(rank)
        if not (bounds["begin_mask"][axis] and bounds["end_mask"][axis] and bounds["stride"][axis] == 1)
        or bounds["squeeze_mask"][axis]
    )
    return _Slice(operation, bounds, frozenset(axes))
