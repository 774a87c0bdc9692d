"""From the results of a program to what users get."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlpress.models.prediction.arrays import from_array
from mlpress.models.prediction.features import ArrayFeature, DictionaryFeature, Feature, ImageFeature
from mlpress.models.prediction.images import to_image


def from_program(features: Mapping[str, Feature], results: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the outputs by name, in the order of `features`.

    Args:
        features: Outputs of the model by name.
        results: An array for each; a classifier's label, and its probabilities by label.

    Returns:
        Arrays of the element types of `features`, float32 for float16 (see `from_array`); images of pillow;
        ``int``, ``float`` and ``str`` for numbers and strings; dictionaries from label to probability. An
        array without axes gets one of size 1, as in Core ML.

    Raises:
        MlpressError: A result cannot be the image that it is described as, or pillow is not installed.
    """
    return {name: _converted(feature, results[name]) for name, feature in features.items()}


def _converted(feature: Feature, result: Any) -> Any:
    match feature:
        case ArrayFeature():
            array = from_array(result, feature.dtype)
            return array if array.ndim else array.reshape(1)
        case ImageFeature():
            return to_image(feature, result)
        case DictionaryFeature():
            return dict(result)
    # A label is a plain value already; a number is an array of one element.
    return result if isinstance(result, str | int) else result.item()
