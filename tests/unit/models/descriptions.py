"""Descriptions of models, written down in a line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mlpress.models.prediction import Interface, read_interface
from mlpress.package.proto.model_pb2 import (
    ArrayFeatureType,
    FeatureDescription,
    FeatureType,
    ImageFeatureType,
    ModelDescription,
    SizeRange,
)

Sizes = Sequence[int]
UNBOUNDED = -1


def array(
    name: str,
    *shape: int,
    dtype: str = "FLOAT32",
    enumerated: Sequence[Sizes] = (),
    ranges: Sequence[tuple[int, int]] = (),
    optional: bool = False,
    **default: float,
) -> FeatureDescription:
    """An array; `default` is intDefaultValue, floatDefaultValue or doubleDefaultValue."""
    kind = ArrayFeatureType(shape=shape, dataType=ArrayFeatureType.ArrayDataType.Value(dtype), **default)
    for one in enumerated:
        kind.enumeratedShapes.shapes.add(shape=one)
    for low, high in ranges:
        kind.shapeRange.sizeRanges.add(lowerBound=low, upperBound=high)
    return FeatureDescription(name=name, type=FeatureType(multiArrayType=kind, isOptional=optional))


def image(
    name: str,
    color: str = "RGB",
    *,
    width: int = 4,
    height: int = 3,
    enumerated: Sequence[tuple[int, int]] = (),
    widths: tuple[int, int] | None = None,
    heights: tuple[int, int] | None = None,
) -> FeatureDescription:
    """An image; `enumerated` holds (width, height)."""
    kind = ImageFeatureType(width=width, height=height, colorSpace=ImageFeatureType.ColorSpace.Value(color))
    for one in enumerated:
        kind.enumeratedSizes.sizes.add(width=one[0], height=one[1])
    if widths and heights:
        kind.imageSizeRange.widthRange.CopyFrom(_range(widths))
        kind.imageSizeRange.heightRange.CopyFrom(_range(heights))
    return FeatureDescription(name=name, type=FeatureType(imageType=kind))


def plain(name: str, kind: str, *, optional: bool = False) -> FeatureDescription:
    """A feature of a type without fields, such as ``"int64Type"``."""
    made = FeatureType(isOptional=optional)
    getattr(made, kind).SetInParent()
    return FeatureDescription(name=name, type=made)


def state(name: str, *shape: int) -> FeatureDescription:
    """A state of float16."""
    found = FeatureDescription(name=name)
    found.type.stateType.arrayType.shape.extend(shape)
    found.type.stateType.arrayType.dataType = ArrayFeatureType.FLOAT16
    return found


def interface(
    *inputs: FeatureDescription,
    outputs: Sequence[FeatureDescription] = (),
    states: Sequence[FeatureDescription] = (),
    **fields: Any,
) -> Interface:
    """The interface of a model so described."""
    return read_interface(ModelDescription(input=inputs, output=outputs, state=states, **fields))


def _range(bounds: tuple[int, int]) -> SizeRange:
    return SizeRange(lowerBound=bounds[0], upperBound=bounds[1])
