"""Matrix products with constants become `linear`; transposes go into the products that use them."""

from __future__ import annotations

import numpy as np

from mlpress.converter.passes.editor import Editor, rank_of, shape_of
from mlpress.mil import Operation, Value


def absorb_transposes(editor: Editor) -> None:
    """Lets `matmul` read an operand transposed in place of a transpose of the last two axes before it."""
    for operation in editor.operations("matmul"):
        for parameter, flag in (("x", "transpose_x"), ("y", "transpose_y")):
            before = editor.maker(operation.inputs[parameter], "transpose")
            if before is None:
                continue
            perm = editor.literal(before, "perm")
            rank = len(perm)
            if perm == [*range(rank - 2), rank - 1, rank - 2]:
                source = before.inputs["x"]
                assert isinstance(source, Value)
                flipped = not editor.literal(operation, flag)
                editor.rebind(operation, parameter, source)
                editor.rebind(
                    operation, flag, editor.add_constant(np.bool_(flipped), f"{operation.name}_{flag}")
                )


def make_linear(editor: Editor) -> None:
    """Turns the product with a constant matrix into `linear`."""
    for operation in editor.operations("matmul"):
        weight = editor.dense(operation.inputs["y"])
        if weight is None or weight.ndim != 2 or editor.literal(operation, "transpose_x"):
            continue
        if editor.constant(operation.inputs["x"]) is not None or rank_of(operation.inputs["x"]) < 2:
            continue
        if weight.dtype.kind != "f":
            continue
        operand = operation.inputs["y"]
        if not editor.literal(operation, "transpose_y"):
            operand = editor.successor(operand, np.ascontiguousarray(weight.T))
        _linear(editor, operation, operand)


def _linear(editor: Editor, operation: Operation, weight: object) -> None:
    editor.insert(operation, "linear", operation.outputs[0], x=operation.inputs["x"], weight=weight)


def fold_scalars(editor: Editor) -> None:
    """Merges products with one number: ``(x a) b`` is ``x (a b)``, and ``x 1`` is x."""
    for operation in editor.operations("mul"):
        found = _times_number(editor, operation)
        if found is None:
            continue
        source, factor = found
        before = editor.maker(source, "mul")
        inner = None if before is None or not editor.used_once(source) else _times_number(editor, before)
        if inner is not None:
            source, factor = inner[0], factor * inner[1]
        if (
            factor == 1
            and shape_of(source) == shape_of(operation.outputs[0])
            and None not in shape_of(source)
        ):
            editor.insert(operation, "identity", operation.outputs[0], x=source)
        elif inner is not None:
            editor.insert(operation, "mul", operation.outputs[0], x=source, y=np.float32(factor))


def _times_number(editor: Editor, operation: Operation) -> tuple[Value, float] | None:
    """Returns what a product multiplies, and by which number of rank 0; None if it does not."""
    for one, other in (("x", "y"), ("y", "x")):
        number = editor.number(operation.inputs[other])
        floats = editor.dense(operation.inputs[other])
        if number is not None and floats is not None and floats.ndim == 0 and floats.dtype.kind == "f":
            source = operation.inputs[one]
            assert isinstance(source, Value)
            return source, number
    return None
