"""The description of a converted model: its interface and metadata as the file has them."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Final

import torch

from mlpress import bits
from mlpress.converter.features import (
    ClassifierConfig,
    EnumeratedShapes,
    ImageType,
    RangeDim,
    Shape,
    TensorType,
)
from mlpress.converter.targets import ColorLayout
from mlpress.mil import Function, StateType, Value
from mlpress.mil import TensorType as MilTensorType
from mlpress.package.proto.model_pb2 import (
    ArrayFeatureType,
    FeatureDescription,
    ImageFeatureType,
    Model,
)
from mlpress.version import __version__

Feature = TensorType | ImageType
AnyShape = Shape | EnumeratedShapes | None

_ARRAYS: Final = {
    bits.FLOAT16: ArrayFeatureType.FLOAT16,
    bits.FLOAT32: ArrayFeatureType.FLOAT32,
    bits.INT32: ArrayFeatureType.INT32,
    bits.INT8: ArrayFeatureType.INT8,
}
_COLORS: Final = {
    ColorLayout.RGB: ImageFeatureType.RGB,
    ColorLayout.BGR: ImageFeatureType.BGR,
    ColorLayout.GRAYSCALE: ImageFeatureType.GRAYSCALE,
    ColorLayout.GRAYSCALE_FLOAT16: ImageFeatureType.GRAYSCALE_FLOAT16,
}


def describe(
    function: Function,
    inputs: Sequence[Feature],
    outputs: Mapping[str, ImageType],
    shapes: Sequence[AnyShape],
    classifier: ClassifierConfig | None,
) -> Model:
    """Returns the model message of a program with one function, the program left out.

    Args:
        function: Its inputs and outputs have their final names and types.
        inputs: What the user says about each input, states left out.
        outputs: Outputs that are images, by name.
        shapes: Shapes of the inputs.
        classifier: Labels, for a function that ends with `classify`.
    """
    spec = Model()
    spec.specificationVersion = function.opset.specification_version
    given = [value for value in function.inputs if not isinstance(value.type, StateType)]
    for value, feature, shape in zip(given, inputs, shapes, strict=True):
        _describe_input(spec.description.input.add(), value, feature, shape)
    for value in function.inputs:
        if isinstance(value.type, StateType):
            _describe_state(spec.description.state.add(), value)
    for value in function.block.outputs:
        if isinstance(value.type, MilTensorType):
            _describe_output(spec.description.output.add(), value, outputs.get(value.name))
    if classifier is not None:
        _describe_classifier(spec, function, classifier)
    metadata = spec.description.metadata.userDefined
    metadata["com.github.mlpress.version"] = __version__
    metadata["com.github.mlpress.source"] = f"torch=={torch.__version__}"
    metadata["com.github.mlpress.conversion_date"] = datetime.date.today().isoformat()
    return spec


def _describe_input(description: FeatureDescription, value: Value, feature: Feature, shape: AnyShape) -> None:
    description.name = value.name
    kind = _tensor(value)
    if isinstance(feature, ImageType):
        _describe_image(description, kind, feature, shape)
        return
    array = description.type.multiArrayType
    array.dataType = _ARRAYS[kind.dtype]
    default = shape.default if shape is not None else tuple(size or 1 for size in kind.shape)
    array.shape.extend(default or (1,))
    if isinstance(shape, EnumeratedShapes):
        for one in shape.shapes:
            array.enumeratedShapes.shapes.add().shape.extend(one)
    elif isinstance(shape, Shape) and any(isinstance(size, RangeDim) for size in shape.shape):
        for size in shape.shape:
            bounds = array.shapeRange.sizeRanges.add()
            bounds.lowerBound = size.lower_bound if isinstance(size, RangeDim) else size
            bounds.upperBound = size.upper_bound if isinstance(size, RangeDim) else size
    if feature.default_value is not None:
        description.type.isOptional = True
        array.floatDefaultValue = float(feature.default_value.reshape(-1)[0])


def _describe_image(
    description: FeatureDescription, kind: MilTensorType, feature: ImageType, shape: AnyShape
) -> None:
    image = description.type.imageType
    image.colorSpace = _COLORS[feature.color_layout]
    default = shape.default if shape is not None else tuple(size or 1 for size in kind.shape)
    image.height, image.width = default[-2:]
    if isinstance(shape, EnumeratedShapes):
        for one in shape.shapes:
            sizes = image.enumeratedSizes.sizes.add()
            sizes.height, sizes.width = one[-2:]
    elif isinstance(shape, Shape) and any(isinstance(size, RangeDim) for size in shape.shape):
        for bounds, size in zip(
            (image.imageSizeRange.heightRange, image.imageSizeRange.widthRange), shape.shape[-2:], strict=True
        ):
            bounds.lowerBound = size.lower_bound if isinstance(size, RangeDim) else size
            bounds.upperBound = size.upper_bound if isinstance(size, RangeDim) else size


def _describe_output(description: FeatureDescription, value: Value, image: ImageType | None) -> None:
    description.name = value.name
    kind = _tensor(value)
    if image is not None:
        _describe_image(description, kind, image, None)
        return
    array = description.type.multiArrayType
    array.dataType = _ARRAYS[kind.dtype]
    if None not in kind.shape:
        array.shape.extend(size or 0 for size in kind.shape)


def _describe_state(description: FeatureDescription, value: Value) -> None:
    assert isinstance(value.type, StateType)
    assert isinstance(value.type.wrapped, MilTensorType)
    description.name = value.name
    array = description.type.stateType.arrayType
    array.dataType = _ARRAYS[value.type.wrapped.dtype]
    array.shape.extend(size or 0 for size in value.type.wrapped.shape)


def _describe_classifier(spec: Model, function: Function, classifier: ClassifierConfig) -> None:
    label, probabilities = (
        value for value in function.block.outputs if not isinstance(value.type, MilTensorType)
    )
    spec.description.predictedFeatureName = label.name
    spec.description.predictedProbabilitiesName = probabilities.name
    first, second = spec.description.output.add(), spec.description.output.add()
    first.name, second.name = label.name, probabilities.name
    if isinstance(classifier.class_labels[0], str):
        first.type.stringType.SetInParent()
        second.type.dictionaryType.stringKeyType.SetInParent()
    else:
        first.type.int64Type.SetInParent()
        second.type.dictionaryType.int64KeyType.SetInParent()


def _tensor(value: Value) -> MilTensorType:
    assert isinstance(value.type, MilTensorType)
    return value.type
