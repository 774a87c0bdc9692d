"""From the results of a program to what users get."""

from __future__ import annotations

import numpy as np
import pytest

from mlpress.models.prediction.outputs import from_program
from tests.unit.models.descriptions import array, interface, plain


def test_outputs_have_the_order_and_the_types_of_the_description() -> None:
    outputs = interface(outputs=[array("y", dtype="DOUBLE"), array("ids", 2, dtype="INT32")]).outputs
    found = from_program(outputs, {"ids": np.array([1, 2], np.int16), "y": np.ones((2, 3), np.float32)})
    assert list(found) == ["y", "ids"]
    assert (found["y"].dtype, found["y"].shape) == (np.float64, (2, 3))
    assert (found["ids"].dtype, found["ids"].tolist()) == (np.int32, [1, 2])


def test_half_precision_comes_as_float32_of_the_same_values() -> None:
    logits = np.array([0.1, 12, np.inf], np.float16)
    found = from_program(interface(outputs=[array("y", 3, dtype="FLOAT16")]).outputs, {"y": logits})["y"]
    np.testing.assert_array_equal(found, logits.astype(np.float32), strict=True)
    assert np.isfinite(np.exp(found[1]))  # what users go on computing does not overflow


def test_an_array_without_axes_gets_one() -> None:
    found = from_program(interface(outputs=[array("y")]).outputs, {"y": np.array(3, np.float32)})
    np.testing.assert_array_equal(found["y"], np.array([3], np.float32), strict=True)


@pytest.mark.parametrize("label", ["cat", 7])
def test_a_classifier_gives_plain_values(label: str | int) -> None:
    kind = "stringType" if isinstance(label, str) else "int64Type"
    outputs = interface(outputs=[plain("label", kind), plain("probs", "dictionaryType")]).outputs
    results = {"label": label, "probs": {label: 0.75, "dog": 0.25}}
    assert from_program(outputs, results) == results


def test_a_number_is_a_python_number() -> None:
    outputs = interface(outputs=[plain("y", "doubleType"), plain("n", "int64Type")]).outputs
    found = from_program(outputs, {"y": np.array([0.5]), "n": np.array(3)})
    assert found == {"y": 0.5, "n": 3}
    assert [type(value) for value in found.values()] == [float, int]
