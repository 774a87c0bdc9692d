"""Inputs and outputs of a program as users want them: element types, images, labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mlpress import bits
from mlpress.bits import DType
from mlpress.converter.features import ClassifierConfig, ImageType, TensorType
from mlpress.converter.passes.precision import MIL_NAMES, names_of
from mlpress.errors import MlpressError
from mlpress.mil import (
    DictionaryType,
    Function,
    ListType,
    Literal,
    Operation,
    Opset,
    StateType,
    StringType,
    Value,
)
from mlpress.mil import TensorType as MilTensorType
from mlpress.ops.builder import Builder

Feature = TensorType | ImageType


def set_inputs(function: Function, features: Sequence[Feature], floats: DType) -> None:
    """Gives the inputs of a function the types that users see, in place.

    Args:
        function: Its inputs have the types of the model.
        features: What is wanted of each, states left out.
        floats: Element type of a float input about which nothing is said.

    Raises:
        MlpressError: The deployment target has no such input.
    """
    builder = names_of(function)
    for index, value in enumerate(function.inputs):
        if isinstance(value.type, StateType):
            continue
        feature = features[index]
        inside = _dtype(value)
        wanted = feature.dtype or (
            floats if inside.is_float else bits.INT32 if inside == bits.INT32 else bits.FLOAT32
        )
        _check(function.opset, value.name, wanted)
        if isinstance(feature, ImageType):
            function.inputs[index] = _image(builder, value, feature)
        elif wanted.is_float and inside.is_float:
            value.type = MilTensorType(wanted, _shape(value))
        elif wanted != inside:
            function.inputs[index] = _converted(builder, value, wanted)
    function.block.operations[:0] = builder.operations


def _check(opset: Opset, name: str, dtype: DType) -> None:
    if dtype == bits.FLOAT16 and opset < Opset.CoreML6:
        raise MlpressError(f"{name!r} is float16, which needs minimum_deployment_target iOS16")
    if dtype == bits.INT8 and opset < Opset.CoreML9:
        raise MlpressError(f"{name!r} is int8, which needs minimum_deployment_target iOS26")


def _outer(builder: Builder, value: Value, dtype: DType) -> Value:
    """Returns a new input with the name of `value`, which gets another one."""
    outer = Value(value.name, MilTensorType(dtype, _shape(value)))
    value.name = builder.unique(f"{value.name}_inside")
    return outer


def _converted(builder: Builder, value: Value, dtype: DType) -> Value:
    """Another input, cast to what the model takes."""
    outer = _outer(builder, value, dtype)
    _append(builder, "cast", value, x=outer, dtype=MIL_NAMES[_dtype(value)])
    return outer


def _image(builder: Builder, value: Value, feature: ImageType) -> Value:
    """Pixels, times scale, plus bias, become what the model takes."""
    shape = _shape(value)
    if len(shape) != 4 or shape[1] != feature.channels:
        raise MlpressError(
            f"image {value.name!r} has shape {shape}; allowed: [1, {feature.channels}, height, width]"
        )
    scale, bias = (_per_channel(part) for part in (feature.scale, feature.bias))
    scales, biases = bool(np.any(scale != 1)), bool(np.any(bias != 0))
    if not scales and not biases:
        value.type = MilTensorType(feature.dtype, shape)
        return value
    outer = _outer(builder, value, feature.dtype)
    pixels: Value = outer
    if scales:
        result = value if not biases else Value(builder.unique(f"{outer.name}_scaled"), value.type)
        _append(builder, "mul", result, x=pixels, y=scale)
        pixels = result
    if biases:
        _append(builder, "add", value, x=pixels, y=bias)
    return outer


def _per_channel(number: Any) -> Any:
    array = np.asarray(number, np.float32)
    return array if array.ndim == 0 else array.reshape(1, -1, 1, 1)


def _append(builder: Builder, kind: str, result: Value, **operands: Any) -> None:
    """Appends an operation that makes `result`."""
    builder.typed_op(kind, f"{result.name}_{kind}", [result.type], **operands)
    operation = builder.operations[-1]
    assert isinstance(operation, Operation)
    operation.outputs = [result]


def set_outputs(function: Function, outputs: Mapping[str, Feature]) -> None:
    """Gives the outputs of a function the types that users see, in place.

    Args:
        function: Computes in its final precision.
        outputs: What is wanted, by name.

    Raises:
        MlpressError: The deployment target has no such output, or an image has not the shape of one.
    """
    builder = names_of(function)
    results: list[Value] = []
    for value in function.block.outputs:
        feature = outputs.get(value.name)
        wanted = _output_dtype(function.opset, value, feature)
        _check(function.opset, value.name, wanted)
        if isinstance(feature, ImageType) and (
            len(_shape(value)) != 4 or _shape(value)[1] != feature.channels
        ):
            raise MlpressError(
                f"output {value.name!r} of shape {_shape(value)} is no {feature.color_layout.name} image"
            )
        if wanted == _dtype(value):
            results.append(value)
            continue
        outer = _outer(builder, value, wanted)
        _append(builder, "cast", outer, x=value, dtype=MIL_NAMES[wanted])
        results.append(outer)
    function.block.operations += builder.operations
    function.block.outputs = results


def _output_dtype(opset: Opset, value: Value, feature: Feature | None) -> DType:
    if feature is not None and feature.dtype is not None:
        return feature.dtype
    dtype = _dtype(value)
    if dtype == bits.FLOAT16:
        return dtype if opset >= Opset.CoreML6 else bits.FLOAT32
    return dtype if dtype == bits.INT32 else bits.FLOAT32


def add_classifier(function: Function, config: ClassifierConfig) -> None:
    """Ends a function with `classify`: a label and the probability of each in place of probabilities.

    Raises:
        MlpressError: There is no such output, or it has not as many elements as there are labels.
    """
    names = [value.name for value in function.block.outputs]
    chosen = config.predicted_probabilities_output or names[-1]
    if chosen not in names:
        raise MlpressError(f"predicted_probabilities_output is {chosen!r}; outputs: {', '.join(names)}")
    probabilities = function.block.outputs[names.index(chosen)]
    shape = _shape(probabilities)
    count = int(np.prod([size or 0 for size in shape]))
    if count != len(config.class_labels):
        raise MlpressError(
            f"{len(config.class_labels)} class labels for {count} probabilities of shape {shape}"
        )
    builder = names_of(function)
    wide = probabilities
    if _dtype(wide) != bits.FLOAT32:
        wide = Value(builder.unique(f"{chosen}_fp32"), MilTensorType(bits.FLOAT32, shape))
        _append(builder, "cast", wide, x=probabilities, dtype="fp32")
    probabilities.name = builder.unique(f"{chosen}_values")
    text = isinstance(config.class_labels[0], str)
    key = StringType() if text else MilTensorType(bits.INT64, ())
    label = Value(builder.unique(config.predicted_feature_name), key)
    by_label = Value(
        builder.unique(f"{config.predicted_feature_name}_probs"),
        DictionaryType(key, MilTensorType(bits.FLOAT64, ())),
    )
    classes = Literal(ListType(key, count), tuple(_label(one, key) for one in config.class_labels))
    operands: dict[str, Any] = {"probabilities": wide, "classes": classes}
    builder.operations.append(Operation("classify", builder.unique("classify"), operands, [label, by_label]))
    function.block.operations += builder.operations
    others = [value for value in function.block.outputs if value is not probabilities]
    function.block.outputs = [*others, label, by_label]


def _label(label: Any, kind: Any) -> Literal:
    if isinstance(label, str):
        return Literal(kind, label)
    return Literal(kind, bits.Tensor.from_numpy(np.asarray(label, np.int64)))


def _dtype(value: Value) -> DType:
    assert isinstance(value.type, MilTensorType)
    return value.type.dtype


def _shape(value: Value) -> tuple[int | None, ...]:
    assert isinstance(value.type, MilTensorType)
    return value.type.shape
