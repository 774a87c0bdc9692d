"""`MLModel.predict` from end to end, on our own programs."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from mlpress import encoding
from mlpress.bits import Tensor
from mlpress.encoding import Dense
from mlpress.errors import MlpressError
from mlpress.mil import Program, with_constants
from mlpress.models import MLModel
from mlpress.runtime import Float16RangeWarning, RunOptions, constants
from tests.torch.models.packages import (
    WEIGHT,
    counting_model,
    image_model,
    linear_model,
    scalar_model,
)

X = np.arange(6, dtype=np.float32).reshape(2, 3)


@pytest.mark.parametrize(
    "x",
    [
        X,
        X.astype(np.float64),
        X.astype(np.int64),
        X.tolist(),
        X[::-1][::-1],
        np.asfortranarray(X),
        X.astype(">f4"),
        np.lib.stride_tricks.as_strided(X, writeable=False),
        torch.from_numpy(X.copy()),
        torch.from_numpy(X.copy()).requires_grad_(),
        torch.from_numpy(X.copy()).to(torch.bfloat16),
        torch.from_numpy(X.copy()).to(torch.float8_e4m3fn),
        torch.from_numpy(X.T.copy()).T,
    ],
    ids=[
        "float32", "float64", "int64", "list", "reversed", "fortran", "big-endian", "read-only",
        "tensor", "gradient", "bfloat16", "float8", "transposed",
    ],
)  # fmt: skip
def test_arrays_and_tensors_of_many_kinds(x: Any) -> None:
    y = linear_model().predict({"x": x})["y"]
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y, X @ WEIGHT.T)


def test_a_list_gives_a_list() -> None:
    model = linear_model()
    found = model.predict([{"x": X}, {"x": X[:1]}])
    assert [one["y"].shape for one in found] == [(2, 4), (1, 4)]
    np.testing.assert_array_equal(found[0]["y"], model.predict({"x": X})["y"])


def test_a_saved_package_predicts_the_same(tmp_path: Path) -> None:
    model = linear_model()
    model.save(tmp_path / "model.mlpackage")
    again = MLModel(tmp_path / "model.mlpackage")
    np.testing.assert_array_equal(again.predict({"x": X})["y"], model.predict({"x": X})["y"])


@pytest.mark.parametrize("x", [3, 3.0, [3], np.float16(3), torch.tensor(3), torch.tensor([3.0])])
def test_numbers(x: Any) -> None:
    assert scalar_model().predict({"x": x})["y"].tolist() == [6]


def test_images_reach_the_program_in_the_models_order_of_channels() -> None:
    pixels = np.arange(36, dtype=np.uint8).reshape(3, 4, 3)
    y = image_model().predict({"x": Image.fromarray(pixels)})["y"]
    np.testing.assert_array_equal(y[0, 0], pixels.astype(int) @ [100, 10, 1])  # blue comes first


def test_predictions_from_many_threads_are_those_of_one() -> None:
    model = linear_model()
    rows = np.random.default_rng(1).integers(-9, 10, size=(64, 1, 3)).astype(np.float32)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda x: model.predict({"x": x})["y"], rows))
    np.testing.assert_array_equal(np.stack(found), rows @ WEIGHT.T)


def test_functions_of_a_package_take_turns_on_a_state(tmp_path: Path) -> None:
    path = tmp_path / "counting.mlpackage"
    counting_model(4, 1).save(path)
    prompt, extend = MLModel(path), MLModel(path, function_name="by_1")

    state = prompt.make_state()
    assert prompt.predict({"x": [1, 2, 3, 4]}, state)["y"].tolist() == [10]
    assert extend.predict({"x": [5]}, state)["y"].tolist() == [15]
    assert extend.predict({"x": [5]}, extend.make_state())["y"].tolist() == [5]
    assert state.read_state("total").tolist() == [15]


def test_the_function_in_use_may_change() -> None:
    model = counting_model(4, 1)
    model.function_name = "by_1"
    assert model.predict({"x": 2}, model.make_state())["y"].tolist() == [2]
    model.function_name = "by_4"
    assert model.predict({"x": [2] * 4}, model.make_state())["y"].tolist() == [8]


def test_run_options_say_how_predictions_are_computed() -> None:
    faithful = RunOptions(precision="float16")
    model = MLModel(counting_model(1), run_options=faithful)
    with pytest.warns(Float16RangeWarning):
        found = model.predict({"x": 60000}, _state_of(model, 60000))
    assert np.isinf(found["y"]).all()

    assert model.with_program(model.program).run_options == faithful
    assert linear_model().run_options is None


def _state_of(model: MLModel, total: float) -> Any:
    state = model.make_state()
    state.write_state("total", [total])
    return state


def test_each_option_has_a_program_of_its_own_that_is_kept() -> None:
    model = linear_model()
    before = model.predict({"x": X})["y"]
    model.run_options = RunOptions(weights="encoded")
    np.testing.assert_array_equal(model.predict({"x": X})["y"], before)


def test_a_model_with_another_program_predicts_with_that_one() -> None:
    model = linear_model()
    model.predict({"x": X})
    other = model.with_program(_scaled(model))
    np.testing.assert_array_equal(other.predict({"x": X})["y"], 2 * X @ WEIGHT.T)
    np.testing.assert_array_equal(model.predict({"x": X})["y"], X @ WEIGHT.T)


def _scaled(model: MLModel) -> Program:
    constants = model.program.functions["main"].block.constants()
    (weight,) = (constant for constant in constants if constant.name == "weight")
    return with_constants(model.program, {weight: Dense(Tensor.from_numpy(2 * WEIGHT))})


def test_to_torch_gives_a_module_of_its_own() -> None:
    model = linear_model()
    module = model.to_torch()
    with torch.no_grad():
        module.weight.mul_(0)
        assert not module(torch.from_numpy(X))["y"].any()
    assert model.predict({"x": X})["y"].any()
    assert model.to_torch().weight.any()


@pytest.mark.parametrize(("weights", "decodings"), [("decoded", [1, 1]), ("encoded", [1, 2])])
def test_weights_are_decoded_when_they_are_first_used_or_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weights: str, decodings: list[int]
) -> None:
    decoded = []

    def decode_rows(*arguments: Any) -> Any:
        decoded.append(arguments)
        return encoding.decode_rows(*arguments)

    monkeypatch.setattr(constants, "decode_rows", decode_rows)
    linear_model().save(tmp_path / "model.mlpackage")
    model = MLModel(tmp_path / "model.mlpackage", run_options=RunOptions(weights=weights))
    assert model.interface.inputs and not decoded
    counts = []
    for _ in range(2):
        model.predict({"x": X})
        counts.append(len(decoded))
    assert counts == decodings


def test_to_torch_takes_run_options() -> None:
    model = linear_model()
    assert model.to_torch(kernels="fast").weight.any()
    model.run_options = RunOptions(weights="encoded")
    assert not list(model.to_torch().parameters())
    assert [name for name, _ in model.to_torch(weights="decoded").named_parameters()] == ["weight"]
    with pytest.raises(MlpressError, match="precision is 'int8'; allowed: 'float32', 'float16'"):
        model.to_torch(precision="int8")
    with pytest.raises(TypeError, match="colour"):
        model.to_torch(colour="red")


@pytest.mark.parametrize(
    "x",
    [torch.zeros(2, 3).to_sparse(), torch.zeros(2, 3, device="meta")],
    ids=["sparse", "meta"],
)
def test_tensors_that_make_no_arrays_are_refused(x: torch.Tensor) -> None:
    with pytest.raises(MlpressError, match=r"input 'x' \(Tensor of torch\.\w+\) makes no array: "):
        linear_model().predict({"x": x})


def test_ranges_and_types_are_checked() -> None:
    with pytest.raises(MlpressError, match=r"shape \(9, 3\); the model takes \(1 to 8\) × 3"):
        linear_model().predict({"x": np.zeros((9, 3))})
    with pytest.raises(MlpressError, match=r"\(ndarray of complex128\) holds no real numbers"):
        linear_model().predict({"x": np.zeros((2, 3), complex)})
    assert np.isnan(linear_model().predict({"x": np.full((1, 3), np.nan)})["y"]).all()
