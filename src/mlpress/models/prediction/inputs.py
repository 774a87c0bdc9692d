"""From the values that users hand in to the arrays that a program takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from mlpress.errors import MlpressError
from mlpress.models.prediction.arrays import to_array
from mlpress.models.prediction.features import ArrayFeature, ImageFeature, InputFeature
from mlpress.models.prediction.images import from_image
from mlpress.models.prediction.joint import joint_position
from mlpress.models.prediction.shapes import Enumerated, Shape, Shapes

Array = npt.NDArray[Any]

_SCALARS: Final = ((), (1,))
"""Shapes of a number: Core ML describes one without axes as one of one axis."""


def to_program(features: Mapping[str, InputFeature], data: Mapping[str, Any]) -> dict[str, Array]:
    """Returns an array for each of `features`, which a program takes for `data`.

    Args:
        features: Inputs of the model by name.
        data: Values by name. Optional inputs may be left out; they become arrays of their default value.

    Raises:
        MlpressError: A name is unknown or missing, or a value has the wrong kind, shape or element type; the
            message says what the model takes.
    """
    _check_names(features, data)
    given = {name: _converted(features[name], value) for name, value in data.items()}
    allowed = {name: feature.shapes for name, feature in features.items()}
    shapes = {name: _shape(features[name], array) for name, array in given.items()}
    position = joint_position(allowed, shapes)
    return {
        name: given[name] if name in given else _default(feature, position)
        for name, feature in features.items()
    }


def _check_names(features: Mapping[str, InputFeature], data: Mapping[str, Any]) -> None:
    unknown = [name for name in data if name not in features]
    if unknown:
        raise MlpressError(f"there is no input {_names(unknown)}; {_wanted(features)}")
    missing = [name for name, feature in features.items() if name not in data and not _is_optional(feature)]
    if missing:
        raise MlpressError(f"input {_names(missing)} is missing; {_wanted(features)}")


def _wanted(features: Mapping[str, InputFeature]) -> str:
    each = (
        f"{name!r}: {feature}{' (optional)' if _is_optional(feature) else ''}"
        for name, feature in features.items()
    )
    return f"the model takes {'; '.join(each) or 'no inputs'}"


def _names(names: list[str]) -> str:
    return ", ".join(map(repr, names))


def _is_optional(feature: InputFeature) -> bool:
    return not isinstance(feature, ImageFeature) and feature.optional


def _converted(feature: InputFeature, value: Any) -> Array:
    if isinstance(feature, ImageFeature):
        return from_image(feature, value)
    what = f"input {feature.name!r}"
    return _shaped(what, feature.shapes, to_array(what, value, feature.dtype))


def _shape(feature: InputFeature, array: Array) -> Shape:
    return array.shape[-2:] if isinstance(feature, ImageFeature) else array.shape


def _shaped(what: str, shapes: Shapes, array: Array) -> Array:
    if shapes.accepts(array.shape):
        return array
    if array.shape in _SCALARS and shapes.default in _SCALARS and shapes.accepts(shapes.default):
        return array.reshape(shapes.default)
    raise MlpressError(f"{what} has shape {array.shape}; the model takes {shapes}")


def _default(feature: InputFeature, position: int) -> Array:
    """Returns the value of an optional input that is left out: 0 where the description has no other."""
    assert not isinstance(feature, ImageFeature)  # never optional
    shapes = feature.shapes
    shape = shapes.shapes[position] if isinstance(shapes, Enumerated) else shapes.default
    return np.full(shape, feature.fill if isinstance(feature, ArrayFeature) else 0, feature.dtype.storage)
