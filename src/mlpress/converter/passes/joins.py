"""Joins of joins, and channel shuffles of joined tensors."""

from __future__ import annotations

from mlpress.converter.passes.editor import Editor, shape_of
from mlpress.mil import Value


def merge_joins(editor: Editor) -> None:
    """Joins the parts of a join along the same axis directly."""
    for operation in editor.operations("concat"):
        values = operation.inputs["values"]
        if not isinstance(values, tuple) or editor.literal(operation, "interleave"):
            continue
        rank = len(shape_of(operation.outputs[0]))
        axis = (editor.literal(operation, "axis") or 0) % max(rank, 1)
        parts: list[object] = []
        for value in values:
            inner = editor.maker(value, "concat") if editor.used_once(value) else None
            same = inner is not None and (editor.literal(inner, "axis") or 0) % max(rank, 1) == axis
            if inner is None or not same or editor.literal(inner, "interleave") or rank == 1:
                parts.append(value)
            else:
                several = inner.inputs["values"]
                parts += several if isinstance(several, tuple) else [several]
        if len(parts) > len(values):
            result = operation.outputs[0]
            editor.insert(operation, "concat", result, values=tuple(parts), axis=axis, interleave=False)


def interleave_joined(editor: Editor) -> None:
    """Turns concat, reshape, transpose, reshape that deal out channels by turns into one `concat`."""
    for last in editor.operations("reshape"):
        swap = editor.maker(last.inputs["x"], "transpose")
        first = None if swap is None else editor.maker(swap.inputs["x"], "reshape")
        joined = None if first is None else editor.maker(first.inputs["x"], "concat")
        if swap is None or first is None or joined is None or editor.literal(joined, "interleave"):
            continue
        values = joined.inputs["values"]
        shape, apart = shape_of(joined.outputs[0]), shape_of(first.outputs[0])
        if None in shape or not isinstance(values, tuple) or not editor.used_once(joined.outputs[0]):
            continue
        axis = (editor.literal(joined, "axis") or 0) % len(shape)
        sizes = [shape_of(value)[axis] for value in values if isinstance(value, Value)]
        grouped = (*shape[:axis], len(values), sizes[0], *shape[axis + 1 :])
        order = list(range(len(grouped)))
        order[axis], order[axis + 1] = axis + 1, axis
        turned = apart == grouped and editor.literal(swap, "perm") == order
        if len(set(sizes)) == 1 and turned and shape_of(last.outputs[0]) == shape:
            editor.insert(last, "concat", last.outputs[0], values=values, axis=axis, interleave=True)
