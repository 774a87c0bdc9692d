"""From the description in a model's specification to features."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, cast

from mlpress import bits
from mlpress.errors import InvalidPackageError, UnsupportedModelError
from mlpress.models.prediction.features import (
    ArrayFeature,
    Color,
    DictionaryFeature,
    Feature,
    ImageFeature,
    InputFeature,
    NumberFeature,
    StringFeature,
)
from mlpress.models.prediction.shapes import Enumerated, Fixed, Ranged, Shape, Shapes
from mlpress.package.proto.model_pb2 import (
    ArrayFeatureType,
    FeatureDescription,
    FunctionDescription,
    ImageFeatureType,
    ModelDescription,
    SizeRange,
)

_DTYPES: Final = {
    ArrayFeatureType.FLOAT16: bits.FLOAT16,
    ArrayFeatureType.FLOAT32: bits.FLOAT32,
    ArrayFeatureType.DOUBLE: bits.FLOAT64,
    ArrayFeatureType.INT8: bits.INT8,
    ArrayFeatureType.INT32: bits.INT32,
}

_COLORS: Final = {
    ImageFeatureType.GRAYSCALE: Color.GRAYSCALE,
    ImageFeatureType.GRAYSCALE_FLOAT16: Color.GRAYSCALE_FLOAT16,
    ImageFeatureType.RGB: Color.RGB,
    ImageFeatureType.BGR: Color.BGR,
}


@dataclass(frozen=True, slots=True)
class Interface:
    """What one function of a model takes and gives, in the order of its description.

    Attributes:
        inputs: Inputs by name, states left out.
        outputs: Outputs by name.
        states: States by name.
        label: Output that names the most probable class; None for a model that is no classifier.
        probabilities: Output that holds the probabilities of the classes; None likewise.
    """

    inputs: Mapping[str, InputFeature]
    outputs: Mapping[str, Feature]
    states: Mapping[str, ArrayFeature]
    label: str | None = None
    probabilities: str | None = None


def read_interface(description: ModelDescription | FunctionDescription) -> Interface:
    """Returns the interface that `description` states.

    Raises:
        UnsupportedModelError: A feature is of a kind that mlprograms do not have.
        InvalidPackageError: A feature has no type, or one that does not say what it holds.
    """
    inputs = _features("input", description.input)
    for name, feature in inputs.items():
        if isinstance(feature, DictionaryFeature | StringFeature):
            raise UnsupportedModelError(f"input {name!r} is {feature}; supported: arrays, images and numbers")
    return Interface(
        cast(Mapping[str, InputFeature], inputs),
        _features("output", description.output),
        MappingProxyType({state.name: _state(state) for state in description.state}),
        description.predictedFeatureName or None,
        description.predictedProbabilitiesName or None,
    )


def _features(role: str, descriptions: Iterable[FeatureDescription]) -> Mapping[str, Feature]:
    return MappingProxyType({one.name: _feature(f"{role} {one.name!r}", one) for one in descriptions})


def _feature(what: str, description: FeatureDescription) -> Feature:
    name, kind = description.name, description.type
    match kind.WhichOneof("Type"):
        case "multiArrayType":
            return _array(what, name, kind.multiArrayType, optional=kind.isOptional)
        case "imageType":
            return _image(what, name, kind.imageType)
        case "int64Type":
            return NumberFeature(name, bits.INT64, kind.isOptional)
        case "doubleType":
            return NumberFeature(name, bits.FLOAT64, kind.isOptional)
        case "stringType":
            return StringFeature(name)
        case "dictionaryType":
            return DictionaryFeature(name)
        case None:
            raise InvalidPackageError(f"{what} has no type")
        case other:
            raise UnsupportedModelError(f"{what} is of the kind {other}; no mlprogram has one")


def _state(description: FeatureDescription) -> ArrayFeature:
    what, kind = f"state {description.name!r}", description.type.stateType
    if kind.WhichOneof("Type") != "arrayType":
        raise InvalidPackageError(f"{what} is no array")
    return _array(what, description.name, kind.arrayType, optional=False)


def _array(what: str, name: str, kind: ArrayFeatureType, *, optional: bool) -> ArrayFeature:
    if kind.dataType not in _DTYPES:
        allowed = ", ".join(map(str, _DTYPES.values()))
        raise InvalidPackageError(f"{what} has the element type {kind.dataType}; allowed: {allowed}")
    default = kind.WhichOneof("defaultOptionalValue")
    fill = 0 if default is None else getattr(kind, default)
    return ArrayFeature(name, _DTYPES[kind.dataType], _shapes(what, kind), optional, fill)


def _shapes(what: str, kind: ArrayFeatureType) -> Shapes:
    default = tuple(kind.shape)
    match kind.WhichOneof("ShapeFlexibility"):
        case "enumeratedShapes":
            return _enumerated(what, [tuple(one.shape) for one in kind.enumeratedShapes.shapes], default)
        case "shapeRange":
            return _ranged(kind.shapeRange.sizeRanges, default)
    return Fixed(default)


def _image(what: str, name: str, kind: ImageFeatureType) -> ImageFeature:
    if kind.colorSpace not in _COLORS:
        allowed = ", ".join(color.name for color in _COLORS.values())
        raise InvalidPackageError(f"{what} has the colour space {kind.colorSpace}; allowed: {allowed}")
    return ImageFeature(name, _COLORS[kind.colorSpace], _sizes(what, kind))


def _sizes(what: str, kind: ImageFeatureType) -> Shapes:
    default = (kind.height, kind.width) if kind.height and kind.width else ()
    match kind.WhichOneof("SizeFlexibility"):
        case "enumeratedSizes":
            return _enumerated(what, [(one.height, one.width) for one in kind.enumeratedSizes.sizes], default)
        case "imageSizeRange":
            return _ranged((kind.imageSizeRange.heightRange, kind.imageSizeRange.widthRange), default)
    return Fixed((kind.height, kind.width))


def _enumerated(what: str, shapes: Sequence[Shape], default: Shape) -> Enumerated:
    if not shapes:
        raise InvalidPackageError(f"{what} enumerates its shapes, and there are none")
    return Enumerated(tuple(shapes), default or shapes[0])


def _ranged(ranges: Iterable[SizeRange], default: Shape) -> Ranged:
    # A negative upper bound means that there is none.
    bounds = tuple((one.lowerBound, None if one.upperBound < 0 else one.upperBound) for one in ranges)
    return Ranged(bounds, default or tuple(low for low, _ in bounds))
