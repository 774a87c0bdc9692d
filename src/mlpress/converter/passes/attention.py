"""Recognises attention that a model writes out (iOS 18)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Any

import numpy as np

from mlpress.converter.passes.editor import Editor, rank_of, shape_of, typed_like
from mlpress.mil import Operation, Opset, Value


@dataclass(frozen=True, slots=True)
class _Scores:
    """``scale query keyᵀ`` plus the sum of masks."""

    query: Value
    key: Value
    scale: float
    masks: tuple[Any, ...] = ()


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
        if found is not None and _same_leading(found.query, found.key, value):
            _fuse(editor, operation, value, found)


def _scores(editor: Editor, scores: Any) -> _Scores | None:
    """Takes scores apart that nothing else uses."""
    total = editor.maker(scores, "add")
    if total is None:
        return _product(editor, scores)
    for one, other in (("x", "y"), ("y", "x")):
        inner, mask = total.inputs[one], total.inputs[other]
        if editor.used_once(scores) and shape_of(inner) == shape_of(scores) and rank_of(mask) >= 1:
            found = _scores(editor, inner)
            if found is not None:
                return replace(found, masks=(*found.masks, mask))
    return None


def _product(editor: Editor, scores: Any) -> _Scores | None:
    inner, scale = _unscaled(editor, scores)
    product = editor.maker(inner, "matmul")
    if product is None or not (editor.used_once(scores) and editor.used_once(inner)):
        return None
    if editor.literal(product, "transpose_x"):
        return None
    query, of_query = _unscaled(editor, product.inputs["x"])
    key, scale = product.inputs["y"], scale * of_query
    if rank_of(query) < 3:
        return None
    assert isinstance(key, Value)
    if not editor.literal(product, "transpose_y"):
        found = _upright(editor, product, key)
        if found is None:
            return None
        key = found
    return _Scores(query, key, scale)


def _unscaled(editor: Editor, value: Any) -> tuple[Value, float]:
    """Returns what a number scales, and the number; `value` and 1 if there is none."""
    factor = editor.maker(value, "mul", "real_div")
    number = None if factor is None else editor.number(factor.inputs["y"])
    if factor is None or not number:
        return value, 1.0
    scaled = factor.inputs["x"]
    if not isinstance(scaled, Value) or scaled.type != factor.outputs[0].type:
        return value, 1.0
    return scaled, number if factor.type == "mul" else 1 / number


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


def _fuse(editor: Editor, operation: Operation, value: Any, scores: _Scores) -> None:
    query, width = scores.query, shape_of(scores.query)[-1]
    if width is None:
        return
    factor = scores.scale * math.sqrt(width)
    if not math.isclose(factor, 1.0, rel_tol=1e-5):
        query = editor.insert(operation, "mul", query.type, x=query, y=np.float32(factor))
    mask = None
    for part in scores.masks:
        mask = part if mask is None else _sum(editor, operation, mask, part)
    editor.insert(
        operation,
        "scaled_dot_product_attention",
        operation.outputs[0],
        query=query,
        key=scores.key,
        value=value,
        attn_mask=mask,
    )


def _sum(editor: Editor, before: Operation, first: Any, second: Any) -> Value:
    sizes = [shape_of(value)[::-1] for value in (first, second)]
    shape = [b if a == 1 else a for a, b in zip_longest(*sizes, fillvalue=1)][::-1]
    return editor.insert(before, "add", typed_like(first, shape), x=first, y=second)
