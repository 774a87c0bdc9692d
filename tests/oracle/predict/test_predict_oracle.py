"""`MLModel.predict` on packages that coremltools made, by its calling conventions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from mlpress.errors import MlpressError
from mlpress.models import MLModel
from tests.oracle.predict.packages import (
    Attention,
    attention_package,
    classifier_package,
    enumerated_package,
    half_package,
    image_package,
    integer_package,
    optional_package,
    range_package,
    scalar_package,
    stateful_package,
    two_function_package,
)

PIXELS = np.arange(36, dtype=np.uint8).reshape(3, 4, 3)  # height, width, channels


@pytest.mark.parametrize("color", ["RGB", "BGR", "GRAYSCALE"])
def test_images(tmp_path: Path, color: str) -> None:
    given = PIXELS[..., 0] if color == "GRAYSCALE" else PIXELS
    out = MLModel(image_package(tmp_path, color)).predict({"x": Image.fromarray(given)})["y"]

    assert out.mode == ("L" if color == "GRAYSCALE" else "RGBA")
    np.testing.assert_array_equal(np.asarray(out.convert("L" if given.ndim == 2 else "RGB")), 255 - given)


def test_images_of_half_precision(tmp_path: Path) -> None:
    given = np.linspace(0, 3, 12, dtype=np.float32).reshape(3, 4)
    out = MLModel(image_package(tmp_path, "GRAYSCALE_FLOAT16")).predict({"x": Image.fromarray(given)})["y"]
    assert out.mode == "F"
    np.testing.assert_allclose(np.asarray(out), 255 - given, atol=0.1)


@pytest.mark.parametrize("color", ["RGB", "BGR"])
def test_scale_and_bias_are_those_of_the_channels_of_the_colour_layout(tmp_path: Path, color: str) -> None:
    model = MLModel(image_package(tmp_path, color, scale=2, bias=[10, 20, 30]))
    out = model.predict({"x": Image.fromarray(PIXELS)})["y"]
    bias = np.array([10, 20, 30] if color == "RGB" else [30, 20, 10])
    np.testing.assert_array_equal(np.asarray(out)[..., :3], 255 - (2 * PIXELS + bias))


def test_enumerated_shapes_go_together_by_place(tmp_path: Path) -> None:
    model = MLModel(enumerated_package(tmp_path, {"x": [(1, 2), (1, 3)], "y": [(1, 4), (1, 5)]}))
    found = model.predict({"x": np.zeros((1, 3)), "y": np.ones((1, 5))})
    assert found["x_out"].tolist() == [[1, 1, 1]]
    assert found["y_out"].tolist() == [[2] * 5]
    with pytest.raises(MlpressError, match="'x' of 1 × 3, 'y' of 1 × 4 do not go together"):
        model.predict({"x": np.zeros((1, 3)), "y": np.ones((1, 4))})


def test_ranges_of_shapes(tmp_path: Path) -> None:
    model = MLModel(range_package(tmp_path, 2, 9))
    for size in (2, 5, 9):
        assert model.predict({"x": np.zeros((1, size))})["x_out"].shape == (1, size)
    for size in (1, 10):
        with pytest.raises(MlpressError, match=rf"shape \(1, {size}\); the model takes 1 × \(2 to 9\)"):
            model.predict({"x": np.zeros((1, size))})


def test_shapes_that_follow_from_that_of_the_input(tmp_path: Path) -> None:
    model = MLModel(attention_package(tmp_path, 2, 9))
    module = model.to_torch()
    for size in (2, 5, 9):
        x = torch.randn(1, size, 8)
        expected = Attention()(x).detach().numpy()
        np.testing.assert_allclose(model.predict({"x": x})["y"], expected, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(module(x)["y"].detach().numpy(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("default", [0.0, 1.5])
def test_an_optional_input_may_be_left_out(tmp_path: Path, default: float) -> None:
    model = MLModel(optional_package(tmp_path, default))
    assert model.predict({"x": [1, 2]})["sum"].tolist() == [1 + default, 2 + default]
    assert model.predict({"x": [1, 2], "y": [3, 4]})["sum"].tolist() == [4, 6]


def test_integers_may_be_given_as_whole_floats(tmp_path: Path) -> None:
    model = MLModel(integer_package(tmp_path))
    found = model.predict({"ids": np.array([1, 2, 3], np.float32)})["next"]
    np.testing.assert_array_equal(found, np.array([2, 3, 4], np.int32), strict=True)


def test_a_result_without_axes_gets_one(tmp_path: Path) -> None:
    found = MLModel(scalar_package(tmp_path)).predict({"x": [1, 2, 3]})["sum"]
    np.testing.assert_array_equal(found, np.array([6], np.float32), strict=True)


def test_half_precision_comes_as_float32_as_from_coremltools(tmp_path: Path) -> None:
    found = MLModel(half_package(tmp_path)).predict({"x": np.array([-1, 0.1, 2, 7])})["y"]
    rounded = np.array([0, 0.1, 2, 7], np.float16)
    np.testing.assert_array_equal(found, rounded.astype(np.float32), strict=True)


@pytest.mark.parametrize("labels", [["cat", "dog", "emu"], [10, 20, 30]])
def test_a_classifier_gives_the_label_and_the_probabilities(tmp_path: Path, labels: Sequence[Any]) -> None:
    model = MLModel(classifier_package(tmp_path, labels))
    logits = np.log([[0.25, 0.5, 0.25]])
    found = model.predict({"x": logits})
    assert found["classLabel"] == labels[1]
    probabilities: Mapping[Any, float] = found["classLabel_probs"]
    assert list(probabilities) == labels
    assert list(probabilities.values()) == pytest.approx([0.25, 0.5, 0.25])
    assert (model.interface.label, model.interface.probabilities) == ("classLabel", "classLabel_probs")


def test_states_live_from_one_prediction_to_the_next(tmp_path: Path) -> None:
    model = MLModel(stateful_package(tmp_path))
    first, second = model.make_state(), model.make_state()
    found = [model.predict({"x": [1, x]}, first)["y"].tolist() for x in (2, 5, -1)]
    assert found == [[2, 4], [4, 14], [6, 12]]
    assert model.predict({"x": [9, 9]}, state=second)["y"].tolist() == [18, 18]
    assert first.read_state("total").tolist() == [3, 6]

    first.write_state("total", np.array([10, 20], np.float32))
    assert model.predict({"x": [1, 1]}, first)["y"].tolist() == [22, 42]


def test_a_state_is_needed_and_has_to_be_of_the_model(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    model = MLModel(stateful_package(tmp_path))
    other = MLModel(stateful_package(tmp_path / "other", size=3))
    with pytest.raises(MlpressError, match=r"states \('total': float16\[2\]\): predict needs state="):
        model.predict({"x": [1, 2]})
    with pytest.raises(MlpressError, match=r"another model's \('total': float16\[3\]\)"):
        model.predict({"x": [1, 2]}, other.make_state())


def test_each_function_of_a_package_runs(tmp_path: Path) -> None:
    path = two_function_package(tmp_path)
    x = {"x": [-2, 3]}
    assert MLModel(path).predict(x)["y"].tolist() == [4, 9]
    assert MLModel(path, function_name="relu").predict(x)["y"].tolist() == [0, 3]
    assert MLModel(path, function_name="square").predict(x)["y"].tolist() == [4, 9]
