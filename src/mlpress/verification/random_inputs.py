"""Random inputs drawn from what models describe."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Final

import numpy as np

from mlpress.bits import FLOAT16
from mlpress.models import Interface
from mlpress.models.prediction import ImageFeature
from mlpress.models.prediction.features import Color, InputFeature
from mlpress.models.prediction.images import pillow
from mlpress.models.prediction.shapes import Shape
from mlpress.verification.random_shapes import shape_plan

_UNBOUNDED: Final = 2
"""Integers that look nothing up are 0 or 1: masks, switches."""


def random_inputs(
    model: Interface, other: Interface, bounds: Mapping[str, int], count: int, seed: int
) -> Iterator[dict[str, Any]]:
    """Yields `count` samples that two models take; each input is given, optional ones, too.

    Floats are normal with variance 1, rounded to float16 if either model takes that. Integers are below the
    input's bound, 0 or 1 if it has none. Images have random pixels. Shapes are those of `shape_plan`.

    Args:
        model: What decides about shapes.
        other: What the other model takes; `model` itself if that is none.
        bounds: Integers that an input must stay below, by name.
        count: Number of samples.
        seed: Samples of one seed are the same each time, whatever their count.

    Raises:
        MlpressError: The models share no shapes; an input is an image and pillow is not installed.
    """
    random = np.random.default_rng(seed)
    allowed, also_allowed = (
        {name: feature.shapes for name, feature in each.inputs.items()} for each in (model, other)
    )
    for shapes in islice(shape_plan(allowed, also_allowed, random), count):
        yield {
            name: _value((feature, other.inputs[name]), shapes[name], bounds.get(name, _UNBOUNDED), random)
            for name, feature in model.inputs.items()
        }


def _value(
    features: tuple[InputFeature, InputFeature], shape: Shape, bound: int, random: np.random.Generator
) -> Any:
    feature = features[0]
    if isinstance(feature, ImageFeature):
        return _image(feature.color, shape, random)
    if feature.dtype.is_integer:
        return random.integers(0, min(bound, feature.dtype.high + 1), shape).astype(feature.dtype.storage)
    values = random.standard_normal(shape)
    half = any(not isinstance(one, ImageFeature) and one.dtype == FLOAT16 for one in features)
    return values.astype(np.float16 if half else np.float32).astype(feature.dtype.storage)


def _image(color: Color, size: Shape, random: np.random.Generator) -> Any:
    if color is Color.GRAYSCALE_FLOAT16:
        return pillow().fromarray(random.random(size).astype(np.float32))
    shape = size if color is Color.GRAYSCALE else (*size, 3)
    return pillow().fromarray(random.integers(0, 256, shape, np.uint8))
