"""Folds batch normalization, and products and sums by channel, into the layer before."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from mlpress.converter.passes.editor import Editor, shape_of
from mlpress.mil import Operation, Value

Array = npt.NDArray[Any]

_LAYERS: Final = ("conv", "conv_transpose", "linear")
_MOVES: Final = ("transpose", "reshape", "expand_dims", "squeeze")


def fold_batch_norm(editor: Editor) -> None:
    """Folds `batch_norm` behind a convolution into its weights."""
    for operation in editor.operations("batch_norm"):
        layer = _layer_before(editor, operation.inputs["x"])
        parts = [editor.dense(operation.inputs.get(name)) for name in ("mean", "variance", "gamma", "beta")]
        epsilon = editor.number(operation.inputs["epsilon"])
        mean, variance, gamma, beta = (None if part is None else part.astype(np.float64) for part in parts)
        if layer is None or mean is None or variance is None or epsilon is None:
            continue
        scale = (1.0 if gamma is None else gamma) / np.sqrt(variance + epsilon)
        shift = (0.0 if beta is None else beta) - mean * scale
        _fold(editor, layer, operation, scale, shift)


def fold_scales_and_shifts(editor: Editor) -> None:
    """Folds the product with or the sum of a constant by channel, behind a layer, into its weights."""
    for operation in editor.operations("mul", "add", "sub"):
        for source, other in (("x", "y"), ("y", "x")):
            if operation.type == "sub" and source == "y":
                continue
            layer = _layer_before(editor, operation.inputs[source])
            constant = editor.dense(operation.inputs[other])
            if layer is None or constant is None:
                continue
            channels = _by_channel(constant, layer, operation.outputs[0])
            if channels is None:
                continue
            one, zero = np.ones_like(channels), np.zeros_like(channels)
            scale = channels if operation.type == "mul" else one
            shift = zero if operation.type == "mul" else channels if operation.type == "add" else -channels
            if _fold(editor, layer, operation, scale, shift):
                break


def fold_factors(editor: Editor) -> None:
    """Folds the product with one number into the weights of a layer before.

    Moves of elements may stand between, and a matrix product of which the layer makes one side.
    """
    for operation in editor.operations("mul"):
        for source, other in (("x", "y"), ("y", "x")):
            value, factor = operation.inputs[source], editor.dense(operation.inputs[other])
            before = editor.maker(value)
            if factor is None or factor.ndim or factor.dtype.kind != "f" or before is None:
                continue
            layer = _layer_behind_moves(editor, value)
            if layer is not None:
                _scale(editor, layer, float(factor))
                editor.take_over(before, operation)
                break


def _layer_behind_moves(editor: Editor, value: Any) -> Operation | None:
    """Returns a layer, used by nothing else, that scales `value` as its weights are scaled."""
    if (layer := _layer_before(editor, value)) is not None:
        return layer
    before = editor.maker(value, *_MOVES, "matmul")
    if before is None or not editor.used_once(value):
        return None
    sides = ("x", "y") if before.type == "matmul" else ("x",)
    return next(filter(None, (_layer_behind_moves(editor, before.inputs[side]) for side in sides)), None)


def _scale(editor: Editor, layer: Operation, factor: float) -> None:
    for parameter in ("weight", "bias"):
        array = editor.dense(layer.inputs.get(parameter))
        if array is not None:
            scaled = (array.astype(np.float64) * factor).astype(np.float32)
            editor.rebind(layer, parameter, editor.successor(layer.inputs[parameter], scaled))


def _layer_before(editor: Editor, value: Any) -> Operation | None:
    """Returns the layer that makes `value`, if nothing else uses it and its weights may change."""
    layer = editor.maker(value, *_LAYERS)
    if layer is None or not editor.used_once(value) or editor.dense(layer.inputs["weight"]) is None:
        return None
    return layer if "bias" not in layer.inputs or editor.dense(layer.inputs["bias"]) is not None else None


def _by_channel(constant: Array, layer: Operation, result: Value) -> Array | None:
    """Returns a constant as one number for each output channel of `layer`; None if it is not that."""
    output = shape_of(layer.outputs[0])
    if shape_of(result) != output:
        return None
    axis = len(output) - 1 if layer.type == "linear" else 1
    count = output[axis]
    shape = [1] * (len(output) - constant.ndim) + list(constant.shape)
    if (
        count is None
        or len(shape) != len(output)
        or any(size != 1 for i, size in enumerate(shape) if i != axis)
    ):
        return None
    if constant.size not in (1, count):
        return None
    return np.broadcast_to(constant.reshape(-1).astype(np.float64), (count,))


def _fold(editor: Editor, layer: Operation, operation: Operation, scale: Array, shift: Array) -> bool:
    """Lets `layer` make scale * result + shift in place of `operation`."""
    weight = editor.dense(layer.inputs["weight"])
    assert weight is not None
    bias = editor.dense(layer.inputs["bias"]) if "bias" in layer.inputs else None
    if bool(np.any(scale != 1)):
        scaled = _scaled(layer, editor, weight.astype(np.float64), scale).astype(np.float32)
        editor.rebind(layer, "weight", editor.successor(layer.inputs["weight"], scaled))
    shifted = (0.0 if bias is None else bias.astype(np.float64)) * scale + shift
    if bias is not None or bool(np.any(shifted != 0)):
        narrow = shifted.astype(np.float32)
        if bias is None:
            editor.rebind(layer, "bias", editor.add_constant(narrow, f"{_name(layer.inputs['weight'])}_bias"))
        else:
            editor.rebind(layer, "bias", editor.successor(layer.inputs["bias"], narrow))
    editor.take_over(layer, operation)
    return True


def _scaled(layer: Operation, editor: Editor, weight: Array, scale: Array) -> Array:
    if layer.type != "conv_transpose":
        return weight * scale.reshape(-1, *[1] * (weight.ndim - 1))
    groups = int(editor.number(layer.inputs["groups"]) or 1)
    by_group = weight.reshape(groups, -1, *weight.shape[1:])  # [groups, in, out, ...] of each group
    factors = scale.reshape(groups, 1, -1, *[1] * (weight.ndim - 2))
    return (by_group * factors).reshape(weight.shape)


def _name(operand: Any) -> str:
    assert isinstance(operand, Value)
    return operand.name
