"""Removes what has no effect or is there already."""

from __future__ import annotations

from typing import Any

from mlpress.bits import Tensor
from mlpress.converter.passes.editor import Editor, shape_of
from mlpress.encoding import Dense
from mlpress.mil import Constant, Literal, Operation, Value

_EFFECTS = ("write_state",)
_RANDOM = ("random_bernoulli", "random_categorical", "random_normal", "random_uniform")
_READS_STATE = ("read_state",)


def remove_dead(editor: Editor) -> None:
    """Removes operations whose results nobody uses."""
    for operation in reversed(list(editor.operations())):
        if operation.type not in _EFFECTS and not any(
            editor.users(value) or editor.is_output(value) for value in operation.outputs
        ):
            editor.remove(operation)


def remove_neutral(editor: Editor) -> None:
    """Lets operations with a constant that changes nothing be identities: plus 0, times 1."""
    for operation in editor.operations("add", "sub", "mul", "real_div"):
        neutral = 0 if operation.type in ("add", "sub") else 1
        pairs = [("x", "y")] if operation.type in ("sub", "real_div") else [("x", "y"), ("y", "x")]
        for source, other in pairs:
            constant = editor.dense(operation.inputs[other])
            value, result = operation.inputs[source], operation.outputs[0]
            if constant is None or not isinstance(value, Value) or value.type != result.type:
                continue
            if None not in shape_of(result) and bool((constant == neutral).all()):
                editor.insert(operation, "identity", result, x=value)
                break


def remove_identities(editor: Editor) -> None:
    """Removes operations that return what they are given: copies, reshapes to the same shape, and so on."""
    for operation in editor.operations():
        if len(operation.outputs) != 1 or not _is_identity(editor, operation):
            continue
        source, result = operation.inputs["x"], operation.outputs[0]
        assert isinstance(source, Value)
        if not editor.is_output(result):
            editor.replace(result, source)
            editor.remove(operation)
        elif not editor.is_output(source) and (maker := editor.maker(source)) is not None:
            editor.remove(operation)
            editor.rename_result(maker, source, result)


def _is_identity(editor: Editor, operation: Operation) -> bool:
    if operation.type == "identity":
        return True
    if operation.type == "transpose":
        perm = editor.literal(operation, "perm")
        return bool(perm == list(range(len(perm))))
    if operation.type in ("reshape", "expand_dims", "squeeze", "tile", "cast", "slice_by_index"):
        source, result = operation.inputs["x"], operation.outputs[0]
        same = isinstance(source, Value) and source.type == result.type and None not in shape_of(result)
        return same and (operation.type != "slice_by_index" or _forward(editor, operation))
    return False


def _forward(editor: Editor, operation: Operation) -> bool:
    stride = editor.literal(operation, "stride")
    return stride is None or all(step == 1 for step in stride)


def merge_equal(editor: Editor) -> None:
    """Lets operations with the same type and operands be one; the first stays."""
    known: dict[object, Operation] = {}
    for operation in editor.operations():
        if operation.blocks or operation.type in (*_EFFECTS, *_RANDOM, *_READS_STATE):
            continue
        key = (operation.type, tuple(sorted((name, _key(bound)) for name, bound in operation.inputs.items())))
        first = known.setdefault(key, operation)
        if first is operation or any(editor.is_output(value) for value in operation.outputs):
            continue
        for old, new in zip(operation.outputs, first.outputs, strict=True):
            editor.replace(old, new)
        editor.remove(operation)


def _key(bound: Any) -> Any:
    return tuple(map(id, bound)) if isinstance(bound, tuple) else (id(bound),)


def merge_equal_constants(editor: Editor) -> None:
    """Stores constants of equal type and bytes once."""
    known: dict[object, list[Constant]] = {}
    for constant in editor.constants():
        data = constant.data
        if isinstance(data, Dense):
            values = data.values
            key: object = (values.dtype, values.shape, _sample(values))
        elif isinstance(data, Literal):
            key = (data.type, data.value)
        else:
            continue
        same = known.setdefault(key, [])
        first = next((other for other in same if _equal(other, constant)), None)
        if first is None:
            same.append(constant)
        else:
            editor.replace(constant.output, first.output)


def _sample(values: Tensor) -> bytes:
    """Some of the bytes: enough to tell most tensors apart without reading them."""
    return bytes(values.buffer[:64]) + bytes(values.buffer[-64:])


def _equal(first: Constant, second: Constant) -> bool:
    if isinstance(first.data, Dense) and isinstance(second.data, Dense):
        return first.data.values == second.data.values
    return True  # literals are their own key
