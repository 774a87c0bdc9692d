"""What `MLModel.predict` says before anything runs, with or without PyTorch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlpress.errors import MlpressError
from mlpress.mil import Program
from mlpress.models import MLModel, MLState
from mlpress.package import ModelFile
from mlpress.package.proto.model_pb2 import FunctionDescription, Model, ModelDescription
from tests.digits_package import write_digits_package
from tests.unit.models.descriptions import array
from tests.unit.package.samples import function

SHAPES = {"conv1": (16, 1, 3, 3), "conv2": (32, 16, 3, 3), "dense1": (128, 512), "dense2": (10, 128)}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A package of the demo's network, with weights of zeros."""
    parameters = {f"{layer}_weight": np.zeros(shape, np.float32) for layer, shape in SHAPES.items()}
    parameters |= {f"{layer}_bias": np.zeros(shape[0], np.float32) for layer, shape in SHAPES.items()}
    write_digits_package(parameters, tmp_path / "digits.mlpackage")
    return tmp_path / "digits.mlpackage"


def test_a_model_says_what_it_takes_and_gives(path: Path) -> None:
    found = MLModel(path).interface
    assert str(found.inputs["image"]) == "an array of float16, 1 × 1 × 8 × 8"
    assert list(found.outputs) == ["probabilities"]
    assert dict(found.states) == {}


@pytest.mark.parametrize("data", [3, None, "image", np.zeros(3), [np.zeros(3)], [("image", 1)]])
def test_data_is_a_dictionary_or_a_list_of_them(path: Path, data: Any) -> None:
    with pytest.raises(TypeError, match="allowed: a dictionary, or a list of them"):
        MLModel(path).predict(data)


def test_wrong_values_are_refused_with_what_the_model_takes(path: Path) -> None:
    model = MLModel(path)
    with pytest.raises(MlpressError, match="'image' is missing; the model takes 'image': an array of"):
        model.predict({})
    with pytest.raises(MlpressError, match=r"has shape \(8, 8\); the model takes 1 × 1 × 8 × 8"):
        model.predict([{"image": np.zeros((8, 8))}])


def test_a_state_does_not_go_with_a_list(path: Path) -> None:
    with pytest.raises(MlpressError, match="state= goes with one prediction"):
        MLModel(path).predict([], MLState(None))  # type: ignore[call-overload, arg-type]


def test_no_predictions_are_made_of_an_empty_list(path: Path) -> None:
    assert MLModel(path).predict([]) == []


def test_the_interface_is_that_of_the_function_in_use() -> None:
    sizes = {"a": 2, "b": 3}
    functions = [
        FunctionDescription(name=name, input=[array("x", size)]) for name, size in (("a", 2), ("b", 3))
    ]
    spec = Model(specificationVersion=9, description=ModelDescription(functions=functions))
    file = ModelFile(spec, Program({name: function({}) for name in sizes}))

    for name, size in sizes.items():
        assert MLModel(file, function_name=name).interface.inputs["x"].shapes.default == (size,)
    with pytest.raises(MlpressError, match=r"no function 'main'; it has \['a', 'b'\]: choose one by"):
        MLModel(file).predict({"x": [1, 2]})


def test_without_pytorch_predict_asks_for_it(path: Path) -> None:
    code = f"""
import sys
sys.modules["torch"] = None
import numpy as np
import mlpress
model = mlpress.MLModel({str(path)!r})
for run in (lambda: model.predict({{"image": np.zeros((1, 1, 8, 8))}}), model.make_state, model.to_torch):
    try:
        run()
    except mlpress.errors.MlpressError as error:
        print(error)
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "running a model needs PyTorch: pip install 'mlpress[torch]'\n" * 3
