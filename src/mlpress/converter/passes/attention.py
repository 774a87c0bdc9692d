"""Recognises attention that a model writes out (iOS 18)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from mlpress.converter.passes.editor import Editor, rank_of, shape_of, typed_like
from mlpress.mil import Operation, Opset, Value


def recognise_attention(editor: Editor) -> None:
    """Turns ``softmax(scale q k^T + mask) v`` into `scaled_dot_product_attention`.

    The op divides by the root of the width; another scale goes into the query beforehand.
    """
    if editor.function.opset < Opset.CoreML8:
        return
    for operation in editor.operations("matmul"):
        if editor.literal(operation, "transpose_x") or editor.literal(operation, "transpose_y"):
            continue
        softmax = editor.maker(operation.inputs["x"], "softmax")
        value = operation.inputs["y"]
        if softmax is None or not editor.used_once(softmax.outputs[0]):
            continue
        if editor.literal(softmax, "axis") not in (-1, rank_of(softmax.inputs["x"]) - 1):
            continue
        found = _scores(editor, softmax.inputs["x"])
        if found is not None and _same_leading(found[0], found[1], value):
            _fuse(editor, operation, value, *found)


def _scores(editor: Editor, scores: Any) -> tuple[Value, Value, float, Any] | None:
    """Returns query, key, scale and mask of scores that only the softmax uses."""
    mask = None
    total = editor.maker(scores, "add")
    if total is not None and editor.used_once(scores):
        for one, other in (("x", "y"), ("y", "x")):
            inner = _product(editor, total.inputs[one])
            if inner is not None and shape_of(total.inputs[one]) == shape_of(scores):
                mask = total.inputs[other]
                return (*inner, mask) if rank_of(mask) >= 1 else None
        return None
    inner = _product(editor, scores)
    return None if inner is None else (*inner, mask)


def _product(editor: Editor, scores: Any) -> tuple[Value, Value, float] | None:
    scale = 1.0
    factor = editor.maker(scores, "mul", "real_div")
    if factor is not None:
        number = editor.number(factor.inputs["y"])
        if number is None or number == 0 or not editor.used_once(scores):
            return None
        scale = number if factor.type == "mul" else 1 / number
        scores = factor.inputs["x"]
    product = editor.maker(scores, "matmul")
    if product is None or not editor.used_once(scores) or editor.literal(product, "transpose_x"):
        return None
    query, key = product.inputs["x"], product.inputs["y"]
    if rank_of(query) < 3:
        return None
    assert isinstance(query, Value)
    assert isinstance(key, Value)
    if not editor.literal(product, "transpose_y"):
        found = _upright(editor, product, key)
        if found is None:
            return None
        key = found
    return query, key, scale


def _upright(editor: Editor, product: Operation, key: Value) -> Value | None:
    """Returns a key with the axes of the query, where one transpose has made it lie."""
    moved = editor.maker(key, "transpose")
    if moved is None:
        return None
    perm = editor.literal(moved, "perm")
    perm[-2:] = perm[:-3:-1]
    shape = shape_of(moved.inputs["x"])
    kind = typed_like(key, [shape[axis] for axis in perm])
    return editor.insert(product, "transpose", kind, x=moved.inputs["x"], perm=perm)


def _same_leading(*values: Any) -> bool:
    leading = [shape_of(value)[:-2] for value in values]
    return leading[0] == leading[1] == leading[2] and None not in leading[0][1:]


def _fuse(
    editor: Editor, operation: Operation, value: Any, query: Value, key: Value, scale: float, mask: Any
) -> None:
    width = shape_of(query)[-1]
    if width is None:
        return
    factor = scale * math.sqrt(width)
    if not math.isclose(factor, 1.0, rel_tol=1e-5):
        query = editor.insert(operation, "mul", query.type, x=query, y=np.float32(factor))
    editor.insert(
        operation,
        "scaled_dot_product_attention",
        operation.outputs[0],
        query=query,
        key=key,
        value=value,
        attn_mask=mask,
    )
