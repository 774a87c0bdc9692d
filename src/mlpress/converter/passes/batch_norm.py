"""Folds batch normalization, and products and sums by channel, into the layer before."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from mlpress.bits import Tensor
from mlpress.converter.passes.editor import Editor, shape_of
from mlpress.encoding import Affine, Dense, Encoding, Scatter, Sparse, decode
from mlpress.mil import Operation, Value, canonical, why_illegal

Array = npt.NDArray[Any]

_LAYERS: Final = ("conv", "conv_transpose", "linear")
_MOVES: Final = ("transpose", "reshape", "expand_dims", "squeeze")
_SIMPLE: Final = ("mul", "real_div", "add", "sub")
_SMALLEST: Final = float(np.finfo(np.float16).smallest_normal)
"""Scales of integers below lose digits where a program is in float16."""


def fold_batch_norm(editor: Editor) -> None:
    """Folds `batch_norm` behind a convolution into its weights.

    Products and sums by channel may stand between: in training, weights that are rounded are multiplied with
    the factors of the normalization first, and the result is divided by them.
    """
    for operation in editor.operations("batch_norm"):
        layer = _layer_behind_scales(editor, operation.inputs["x"])
        parts = [editor.dense(operation.inputs.get(name)) for name in ("mean", "variance", "gamma", "beta")]
        epsilon = editor.number(operation.inputs["epsilon"])
        mean, variance, gamma, beta = (None if part is None else part.astype(np.float64) for part in parts)
        if layer is None or mean is None or variance is None or epsilon is None:
            continue
        scale = (1.0 if gamma is None else gamma) / np.sqrt(variance + epsilon)
        shift = (0.0 if beta is None else beta) - mean * scale
        _fold(editor, layer, operation, scale, shift)


def _layer_behind_scales(editor: Editor, value: Any) -> Operation | None:
    if (layer := _layer_before(editor, value)) is not None:
        return layer
    before = editor.maker(value, *_SIMPLE)
    if before is None or not editor.used_once(value):
        return None
    _layer_behind_scales(editor, before.inputs["x"])
    _fold_scale_or_shift(editor, before)
    return _layer_before(editor, value)


def fold_scales_and_shifts(editor: Editor) -> None:
    """Folds the product with or the sum of a constant by channel, behind a layer, into its weights."""
    for operation in editor.operations(*_SIMPLE):
        _fold_scale_or_shift(editor, operation)


def _fold_scale_or_shift(editor: Editor, operation: Operation) -> None:
    for source, other in (("x", "y"), ("y", "x")):
        if operation.type in ("sub", "real_div") and source == "y":
            continue
        layer = _layer_before(editor, operation.inputs[source])
        constant = editor.dense(operation.inputs[other])
        if layer is None or constant is None:
            continue
        channels = _by_channel(constant, layer, operation.outputs[0])
        if channels is None or (operation.type == "real_div" and not channels.all()):
            continue
        scale, shift = np.ones_like(channels), np.zeros_like(channels)
        if operation.type in ("mul", "real_div"):
            scale = channels if operation.type == "mul" else 1 / channels
        else:
            shift = channels if operation.type == "add" else -channels
        if _fold(editor, layer, operation, scale, shift):
            return


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
            if layer is not None and _scale(editor, layer, float(factor)):
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


def _scale(editor: Editor, layer: Operation, factor: float) -> bool:
    weight = _scaled(editor, layer, np.full(_channels(editor, layer), factor))
    if weight is None:
        return False
    editor.rebind(layer, "weight", editor.successor(layer.inputs["weight"], weight))
    bias = editor.dense(layer.inputs.get("bias"))
    if bias is not None:
        scaled = (bias.astype(np.float64) * factor).astype(np.float32)
        editor.rebind(layer, "bias", editor.successor(layer.inputs["bias"], scaled))
    return True


def _layer_before(editor: Editor, value: Any) -> Operation | None:
    """Returns the layer that makes `value`, if nothing else uses it and its weights are constants."""
    layer = editor.maker(value, *_LAYERS)
    if layer is None or not editor.used_once(value) or editor.constant(layer.inputs["weight"]) is None:
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
    """Lets `layer` make scale * result + shift in place of `operation`, if its weights can be scaled."""
    if bool(np.any(scale != 1)):
        weight = _scaled(editor, layer, scale)
        if weight is None:
            return False
        editor.rebind(layer, "weight", editor.successor(layer.inputs["weight"], weight))
    bias = editor.dense(layer.inputs["bias"]) if "bias" in layer.inputs else None
    shifted = (0.0 if bias is None else bias.astype(np.float64)) * scale + shift
    if bias is not None or bool(np.any(shifted != 0)):
        narrow = shifted.astype(np.float32)
        if bias is None:
            editor.rebind(layer, "bias", editor.add_constant(narrow, f"{_name(layer.inputs['weight'])}_bias"))
        else:
            editor.rebind(layer, "bias", editor.successor(layer.inputs["bias"], narrow))
    editor.take_over(layer, operation)
    return True


def _weight(editor: Editor, layer: Operation) -> Encoding:
    constant = editor.constant(layer.inputs["weight"])
    assert constant is not None
    assert isinstance(constant.data, Encoding)
    return constant.data


def _channels(editor: Editor, layer: Operation) -> int:
    """Returns the number of output channels."""
    shape = _weight(editor, layer).shape
    return shape[1] * _groups(editor, layer) if layer.type == "conv_transpose" else shape[0]


def _groups(editor: Editor, layer: Operation) -> int:
    return int(editor.number(layer.inputs.get("groups")) or 1)


def _scaled(editor: Editor, layer: Operation, factors: Array) -> Any:
    """Returns the weights of a layer times factors of output channels; None if they have no such form."""
    encoding = _weight(editor, layer)
    transposed, groups = layer.type == "conv_transpose", _groups(editor, layer)
    if isinstance(encoding, Dense):
        weight = encoding.values.numpy()
        if not transposed:
            return _product(weight, factors.reshape(-1, *[1] * (weight.ndim - 1)))
        by_group = weight.reshape(groups, -1, *weight.shape[1:])  # [groups, in, out, ...] of each group
        by_channel = factors.reshape(groups, 1, -1, *[1] * (weight.ndim - 2))
        return _product(by_group, by_channel).reshape(weight.shape)
    if transposed and groups > 1:
        return None
    made = _scaled_encoding(encoding, factors, int(transposed))
    opset = editor.function.opset
    return made if made is not None and why_illegal(canonical(made, opset), opset) is None else None


def _product(weight: Array, factors: Array) -> Array:
    """Returns float32 of a product in float64, of which NumPy makes a part at a time."""
    made = np.empty(weight.shape, np.float32)
    return np.multiply(weight, factors, out=made, dtype=np.float64, casting="same_kind")


def _scaled_encoding(encoding: Encoding, factors: Array, axis: int) -> Encoding | None:
    """Returns integers with other scales, or kept values times factors; None for what has neither."""
    match encoding:
        case Scatter(source):
            scaled = _scaled_encoding(source, factors, axis)
            return None if scaled is None else Scatter(scaled)
        case Sparse(mask, values) if values.dtype.is_float:
            of_kept = factors[np.nonzero(mask.numpy())[axis]]
            return Sparse(mask, Tensor.from_numpy((values.numpy() * of_kept).astype(np.float32)))
        case Affine(Dense() | Sparse() as data, Dense() as scale, offset) if data.dtype.is_integer:
            repeats = len(factors) // scale.shape[axis]
            sizes = [-1 if each == axis else 1 for each in range(len(scale.shape))]
            wide = decode(scale).astype(np.float64).repeat(repeats, axis) * factors.reshape(sizes)
            if not wide.all() or np.abs(wide).min() < _SMALLEST:
                return None
            moved = None
            if offset is not None:
                moved = Dense(Tensor.from_numpy(decode(offset).repeat(repeats, axis), offset.dtype))
            return Affine(data, Dense(Tensor.from_numpy(wide.astype(np.float32))), moved)
    return None


def _name(operand: Any) -> str:
    assert isinstance(operand, Value)
    return operand.name
