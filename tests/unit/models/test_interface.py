"""What a description says a model takes and gives."""

from __future__ import annotations

import pytest

from mlpress import bits
from mlpress.errors import InvalidPackageError, UnsupportedModelError
from mlpress.models.prediction import (
    ArrayFeature,
    Color,
    DictionaryFeature,
    Enumerated,
    Fixed,
    ImageFeature,
    NumberFeature,
    Ranged,
    StringFeature,
)
from mlpress.package.proto.model_pb2 import FeatureDescription, FeatureType, SequenceFeatureType
from tests.unit.models.descriptions import UNBOUNDED, array, image, interface, plain, state


@pytest.mark.parametrize(
    "dtype, expected",
    [
        ("FLOAT16", bits.FLOAT16),
        ("FLOAT32", bits.FLOAT32),
        ("DOUBLE", bits.FLOAT64),
        ("INT8", bits.INT8),
        ("INT32", bits.INT32),
    ],
)
def test_arrays_have_an_element_type_and_a_shape(dtype: str, expected: bits.DType) -> None:
    found = interface(array("x", 1, 3, dtype=dtype)).inputs["x"]
    assert found == ArrayFeature("x", expected, Fixed((1, 3)))


def test_shapes_may_be_enumerated_or_ranges() -> None:
    found = interface(
        array("some", 1, 3, enumerated=[(1, 2), (1, 3)]),
        array("first", enumerated=[(1, 2), (1, 3)]),
        array("range", 1, 5, ranges=[(1, 1), (2, 9)]),
        array("open", ranges=[(1, 1), (2, UNBOUNDED)]),
    ).inputs
    assert found["some"].shapes == Enumerated(((1, 2), (1, 3)), default=(1, 3))
    assert found["first"].shapes == Enumerated(((1, 2), (1, 3)), default=(1, 2))
    assert found["range"].shapes == Ranged(((1, 1), (2, 9)), default=(1, 5))
    assert found["open"].shapes == Ranged(((1, 1), (2, None)), default=(1, 2))


@pytest.mark.parametrize("color", list(Color))
def test_images_have_a_colour_layout_and_sizes_as_height_and_width(color: Color) -> None:
    found = interface(image("x", color.name, width=4, height=3)).inputs["x"]
    assert found == ImageFeature("x", color, Fixed((3, 4)))


def test_sizes_of_images_may_be_enumerated_or_ranges() -> None:
    found = interface(
        image("some", enumerated=[(4, 3), (8, 6)]),
        image("range", widths=(2, 9), heights=(1, UNBOUNDED)),
        image("unset", width=0, height=0, widths=(2, 9), heights=(1, UNBOUNDED)),
    ).inputs
    assert found["some"].shapes == Enumerated(((3, 4), (6, 8)), default=(3, 4))
    assert found["range"].shapes == Ranged(((1, None), (2, 9)), default=(3, 4))
    assert found["unset"].shapes == Ranged(((1, None), (2, 9)), default=(1, 2))


@pytest.mark.parametrize(
    "default, fill",
    [
        ({}, 0),
        ({"intDefaultValue": -3}, -3),
        ({"floatDefaultValue": 0.5}, 0.5),
        ({"doubleDefaultValue": 2}, 2),
    ],
)
def test_an_optional_array_has_a_default(default: dict[str, float], fill: float) -> None:
    found = interface(array("x", 2, optional=True, **default)).inputs["x"]
    assert found == ArrayFeature("x", bits.FLOAT32, Fixed((2,)), optional=True, fill=fill)


def test_a_classifier_gives_a_label_and_probabilities() -> None:
    found = interface(
        plain("count", "int64Type", optional=True),
        outputs=[plain("label", "stringType"), plain("probs", "dictionaryType"), plain("odds", "doubleType")],
        predictedFeatureName="label",
        predictedProbabilitiesName="probs",
    )
    assert found.inputs["count"] == NumberFeature("count", bits.INT64, optional=True)
    assert list(found.outputs.values()) == [
        StringFeature("label"),
        DictionaryFeature("probs"),
        NumberFeature("odds", bits.FLOAT64),
    ]
    assert (found.label, found.probabilities) == ("label", "probs")


def test_states_stand_beside_the_inputs() -> None:
    found = interface(array("x", 1), states=[state("cache", 2, 3)])
    assert list(found.inputs) == ["x"]
    assert found.states["cache"] == ArrayFeature("cache", bits.FLOAT16, Fixed((2, 3)))
    assert (found.label, found.probabilities) == (None, None)


SEQUENCE = FeatureDescription(name="x", type=FeatureType(sequenceType=SequenceFeatureType()))


@pytest.mark.parametrize(
    "description, problem",
    [
        (plain("x", "stringType"), "input 'x' is a string; supported: arrays, images and numbers"),
        (plain("x", "dictionaryType"), "input 'x' is a dictionary"),
        (SEQUENCE, "input 'x' is of the kind sequenceType"),
    ],
)
def test_kinds_that_no_mlprogram_takes_are_refused(description: FeatureDescription, problem: str) -> None:
    with pytest.raises(UnsupportedModelError, match=problem):
        interface(description)


@pytest.mark.parametrize(
    "description, problem",
    [
        (FeatureDescription(name="x"), "input 'x' has no type"),
        (array("x", 1, dtype="INVALID_ARRAY_DATA_TYPE"), "element type 0; allowed: float16, float32"),
        (
            image("x", "INVALID_COLOR_SPACE"),
            "colour space 0; allowed: GRAYSCALE, GRAYSCALE_FLOAT16, RGB",
        ),
    ],
)
def test_damaged_descriptions_are_refused(description: FeatureDescription, problem: str) -> None:
    with pytest.raises(InvalidPackageError, match=problem):
        interface(description)


def test_an_enumeration_of_no_shapes_is_refused() -> None:
    description = array("x", 1)
    description.type.multiArrayType.enumeratedShapes.SetInParent()
    with pytest.raises(InvalidPackageError, match="input 'x' enumerates its shapes, and there are none"):
        interface(description)


def test_a_state_that_is_no_array_is_refused() -> None:
    with pytest.raises(InvalidPackageError, match="state 's' is no array"):
        interface(states=[FeatureDescription(name="s")])
