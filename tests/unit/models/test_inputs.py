"""From a dictionary of values to the arrays that a program takes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mlpress.errors import MlpressError
from mlpress.models.prediction.inputs import to_program
from mlpress.package.proto.model_pb2 import FeatureDescription
from tests.unit.models.descriptions import UNBOUNDED, array, image, interface, plain


def convert(*inputs: FeatureDescription, **data: Any) -> dict[str, np.ndarray]:
    return to_program(interface(*inputs).inputs, data)


def zeros(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.float32)


def test_arrays_come_in_the_order_and_the_types_of_the_description() -> None:
    found = convert(array("x", 2), array("ids", 1, 2, dtype="INT32"), ids=[[3.0, 4.0]], x=np.ones(2))
    assert list(found) == ["x", "ids"]
    assert found["x"].dtype == np.float32
    assert (found["ids"].dtype, found["ids"].tolist()) == (np.int32, [[3, 4]])


def test_what_is_handed_in_stays_as_it_is() -> None:
    data = {"x": [1.0, 2.0]}
    to_program(interface(array("x", 2)).inputs, data)
    assert data == {"x": [1.0, 2.0]}


@pytest.mark.parametrize("value", [3, 3.0, [3], np.float64(3), np.array(3), np.array([3])])
def test_a_number_may_come_with_or_without_an_axis(value: Any) -> None:
    assert convert(array("x", 1), x=value)["x"].shape == (1,)
    assert convert(array("x"), x=value)["x"].shape == ()
    assert convert(array("x", ranges=[(1, 4)]), x=value)["x"].shape == (1,)
    assert convert(plain("x", "doubleType"), x=value)["x"] == np.float64(3)
    assert convert(plain("x", "int64Type"), x=value)["x"].dtype == np.int64


@pytest.mark.parametrize(
    "description, fitting, wrong, wanted",
    [
        (array("x", 1, 3, 8, 8), (1, 3, 8, 8), (1, 3, 9, 8), "1 × 3 × 8 × 8"),
        (array("x", 2, 3), (2, 3), (6,), "2 × 3"),
        (array("x", enumerated=[(1, 2), (1, 5), (1, 9)]), (1, 5), (1, 6), "1 × 2, 1 × 5 or 1 × 9"),
        (array("x", enumerated=[(1, 2)]), (1, 2), (2, 1), "1 × 2"),
        (array("x", ranges=[(1, 1), (2, 9)]), (1, 9), (1, 10), "1 × (2 to 9)"),
        (array("x", ranges=[(1, 1), (2, 9)]), (1, 2), (1, 1), "1 × (2 to 9)"),
        (array("x", ranges=[(1, 1), (2, 9)]), (1, 3), (1, 3, 1), "1 × (2 to 9)"),
        (array("x", ranges=[(2, UNBOUNDED)]), (10**6,), (1,), "(2 or more)"),
        (array("x"), (), (2,), "no axes"),
    ],
)
def test_a_wrong_shape_is_refused_with_those_that_are_right(
    description: FeatureDescription, fitting: tuple[int, ...], wrong: tuple[int, ...], wanted: str
) -> None:
    assert convert(description, x=zeros(*fitting))["x"].shape == fitting
    with pytest.raises(MlpressError) as error:
        convert(description, x=zeros(*wrong))
    assert str(error.value) == f"input 'x' has shape {wrong}; the model takes {wanted}"


def test_an_unknown_name_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(MlpressError) as error:
        convert(array("x", 2), array("y", 1, optional=True), image("z"), a=1, x=[1, 2])
    assert str(error.value) == (
        "there is no input 'a'; the model takes 'x': an array of float32, 2; "
        "'y': an array of float32, 1 (optional); 'z': a PIL image of mode 'RGB', 3 × 4 (height × width)"
    )


def test_all_missing_inputs_are_named() -> None:
    with pytest.raises(MlpressError, match=r"'x', 'n' is missing; the model takes 'x': .*'n': a number"):
        convert(array("x", 2), array("y", 1, optional=True), plain("n", "int64Type"))


def test_a_model_without_inputs_takes_nothing() -> None:
    assert convert() == {}
    with pytest.raises(MlpressError, match="the model takes no inputs"):
        convert(x=1)


@pytest.mark.parametrize(
    "description, expected",
    [
        (array("x", 2, optional=True), np.zeros(2, np.float32)),
        (array("x", 2, optional=True, floatDefaultValue=1.5), np.full(2, 1.5, np.float32)),
        (array("x", 2, optional=True, dtype="INT32", intDefaultValue=-7), np.full(2, -7, np.int32)),
        (array("x", 2, optional=True, dtype="FLOAT16", doubleDefaultValue=0.5), np.full(2, 0.5, np.float16)),
        (array("x", 3, optional=True, ranges=[(1, 9)]), np.zeros(3, np.float32)),
        (plain("x", "doubleType", optional=True), np.zeros(())),
    ],
)
def test_optional_inputs_have_defaults(description: FeatureDescription, expected: np.ndarray) -> None:
    found = convert(description)["x"]
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected, strict=True)
    assert convert(description, x=np.ones_like(expected))["x"].all()


PAIR = (
    array("x", 1, 2, enumerated=[(1, 2), (1, 3), (1, 3)]),
    array("y", 2, 1, enumerated=[(2, 1), (2, 3), (2, 4)], optional=True),
)


@pytest.mark.parametrize("x, y", [((1, 2), (2, 1)), ((1, 3), (2, 3)), ((1, 3), (2, 4))])
def test_enumerated_shapes_go_together_place_by_place(x: tuple[int, ...], y: tuple[int, ...]) -> None:
    found = convert(*PAIR, x=zeros(*x), y=zeros(*y))
    assert (found["x"].shape, found["y"].shape) == (x, y)


def test_enumerated_shapes_of_different_places_are_refused() -> None:
    with pytest.raises(MlpressError) as error:
        convert(*PAIR, x=zeros(1, 2), y=zeros(2, 3))
    assert str(error.value) == (
        "the inputs 'x' of 1 × 2, 'y' of 2 × 3 do not go together; "
        "the model takes (x, y) as (1 × 2, 2 × 1) or (1 × 3, 2 × 3) or (1 × 3, 2 × 4)"
    )


def test_an_enumerated_input_that_is_left_out_has_the_shape_that_goes_with_the_others() -> None:
    assert convert(*PAIR, x=zeros(1, 2))["y"].shape == (2, 1)
    assert convert(*PAIR, x=zeros(1, 3))["y"].shape == (2, 3)


def test_lists_of_different_lengths_do_not_go_together() -> None:
    longer = array("y", enumerated=[(2,), (3,), (4,), (5,)])
    assert convert(PAIR[0], longer, x=zeros(1, 2), y=zeros(5))["y"].shape == (5,)


def test_an_array_is_no_image() -> None:
    with pytest.raises(MlpressError, match=r"type ndarray; the model takes a PIL image of mode 'L'"):
        convert(image("x", "GRAYSCALE"), x=zeros(3, 4))
