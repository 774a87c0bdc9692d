"""What `mlpress.utils` does with whole models: types, halves, fixed shapes, random weights, other names."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import mlpress
from mlpress import MLModel
from mlpress.errors import MlpressError, UnsupportedModelError
from mlpress.mil import Operation
from mlpress.optimize import coreml as cto
from mlpress.proto.FeatureTypes_pb2 import ArrayFeatureType
from mlpress.utils import (
    bisect_model,
    change_input_output_tensor_type,
    materialize_dynamic_shape_mlmodel,
    randomize_weights,
    rename_feature,
)

FLOAT16, FLOAT32 = ArrayFeatureType.FLOAT16, ArrayFeatureType.FLOAT32


class Net(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = torch.nn.Sequential(
            *(
                layer
                for _ in range(4)
                for layer in (torch.nn.Linear(32, 32), torch.nn.LayerNorm(32), torch.nn.GELU())
            )
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        heads = self.layers(x).reshape(x.shape[0], x.shape[1], 4, 8).transpose(1, 2)
        return heads.reshape(x.shape[0], 4, x.shape[1] * 8)


def convert(
    shape: Any = (1, 3, 32), target: mlpress.target = mlpress.target.iOS16, **options: Any
) -> MLModel:
    return mlpress.convert(
        torch.jit.trace(Net().eval(), (torch.zeros(1, 3, 32),)),
        inputs=[mlpress.TensorType(name="x", shape=shape, **options)],
        outputs=[mlpress.TensorType(name="y", **options)],
        minimum_deployment_target=target,
    )


def sample(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float16).astype(np.float32)


def kinds(model: MLModel, function: str = "main") -> list[str]:
    operations = model.program.functions[function].block.operations
    return [node.type for node in operations if isinstance(node, Operation)]


# Types of inputs and outputs.


def test_float32_becomes_float16_and_casts_that_it_makes_needless_go() -> None:
    model = convert(dtype=np.float32)
    assert kinds(model).count("cast") == 2
    changed = change_input_output_tensor_type(
        model, from_type=FLOAT32, to_type=FLOAT16, input_names=["*"], output_names=["y"]
    )
    assert "cast" not in kinds(changed)
    description = changed.get_spec().description
    assert description.input[0].type.multiArrayType.dataType == FLOAT16
    assert description.output[0].type.multiArrayType.dataType == FLOAT16
    x = sample(1, 3, 32)
    found, expected = changed.predict({"x": x})["y_to_fp16"], model.predict({"x": x})["y"]
    assert np.array_equal(found, expected.astype(np.float16).astype(np.float32))
    assert list(model.interface.outputs) == ["y"]  # the model is as it was


def test_float16_becomes_float32(tmp_path: Path) -> None:
    model = convert(dtype=np.float16)
    changed = change_input_output_tensor_type(model, FLOAT16, FLOAT32, input_names=["x"])
    changed.save(tmp_path / "changed.mlpackage")
    x = sample(1, 3, 32)
    found = MLModel(tmp_path / "changed.mlpackage").predict({"x": x})
    np.testing.assert_allclose(found["y_to_fp32"], model.predict({"x": x})["y"], atol=1e-3)
    assert kinds(changed).count("cast") == 2


def test_only_what_is_named_is_changed() -> None:
    model = convert(dtype=np.float32)
    same = change_input_output_tensor_type(model, FLOAT32, FLOAT16, output_names=["nothing"])
    assert same.get_spec().description == model.get_spec().description
    for arguments, reason in (
        ((FLOAT32, ArrayFeatureType.INT32), "to_type is"),
        ((FLOAT32, FLOAT16, ["other"]), "has no function 'other'"),
    ):
        with pytest.raises(MlpressError, match=reason):
            change_input_output_tensor_type(model, *arguments)


# Two halves.


@pytest.mark.parametrize("compressed", [False, True])
def test_halves_give_what_the_model_gave(compressed: bool, tmp_path: Path, caplog: Any) -> None:
    model = convert(dtype=np.float32)
    if compressed:
        config = cto.OptimizationConfig(cto.OpLinearQuantizerConfig(weight_threshold=100))
        model = cto.linear_quantize_weights(model, config)
    model.save(tmp_path / "net.mlpackage")
    with caplog.at_level(logging.INFO):
        bisect_model(str(tmp_path / "net.mlpackage"), str(tmp_path / "out"))
    assert "y: the halves agree" in caplog.text
    first, second = (MLModel(tmp_path / f"out/net_chunk{number}.mlpackage") for number in (1, 2))
    x = sample(1, 3, 32)
    between = first.predict({"x": x})
    assert len(between) == 1
    found = second.predict({name: between.get(name, x) for name in second.interface.inputs})
    np.testing.assert_allclose(found["y"], model.predict({"x": x})["y"], atol=2e-3)
    sizes = [
        sum(file.stat().st_size for file in Path(half.weights_dir or "").iterdir())
        for half in (first, second)
    ]
    assert 0.3 < sizes[0] / sum(sizes) < 0.7


class Branches(torch.nn.Module):
    """What goes over is more than one value, and one of them is a result, too."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b, self.c = (torch.nn.Linear(32, 32) for _ in range(3))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        skip = torch.relu(self.a(x))
        return skip, torch.sigmoid(self.c(torch.tanh(self.b(skip)))) + skip + x


@pytest.mark.parametrize("precision", ["FLOAT16", "FLOAT32"])
def test_results_and_inputs_of_both_halves(precision: str, tmp_path: Path) -> None:
    model = mlpress.convert(
        torch.jit.trace(Branches().eval(), (torch.zeros(2, 32),)),
        inputs=[mlpress.TensorType(name="x", shape=(2, 32))],
        outputs=[mlpress.TensorType(name="skip"), mlpress.TensorType(name="y")],
        minimum_deployment_target=mlpress.target.iOS16,
        compute_precision=mlpress.precision[precision],
    )
    bisect_model(model, tmp_path)
    first, second = (MLModel(tmp_path / f"chunk{number}.mlpackage") for number in (1, 2))
    known = {"x": sample(2, 32)}
    expected = model.predict(known)
    known |= first.predict(known)
    known |= second.predict({name: known[name] for name in second.interface.inputs})
    for name, values in expected.items():
        np.testing.assert_allclose(known[name], values, atol=2e-3)


def test_what_cannot_be_halved_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModelError, match="writes no pipelines"):
        bisect_model(convert(), tmp_path, merge_chunks_to_pipeline=True)
    with pytest.raises(MlpressError, match="no place to be split at"):
        bisect_model(convert((1, mlpress.RangeDim(1, 8), 32)), tmp_path)


# Fixed shapes.


def test_functions_for_fixed_shapes(tmp_path: Path) -> None:
    shape = (mlpress.RangeDim(1, 4), mlpress.RangeDim(1, 8), 32)
    model = convert(shape)
    path = tmp_path / "fixed.mlpackage"
    materialize_dynamic_shape_mlmodel(model, {"small": {"x": (1, 2, 32)}, "large": {"x": (2, 5, 32)}}, path)
    for name, size in (("small", (1, 2, 32)), ("large", (2, 5, 32)), ("main", (3, 4, 32))):
        fixed = MLModel(path, function_name=name)
        x = sample(*size)
        assert np.array_equal(fixed.predict({"x": x})["y"], model.predict({"x": x})["y"])
        if name != "main":
            assert not {"shape", "gather", "concat"} & set(kinds(fixed, name))
            described = next(each for each in fixed.get_spec().description.functions if each.name == name)
            assert list(described.input[0].type.multiArrayType.shape) == list(size)
            assert list(described.output[0].type.multiArrayType.shape) == [size[0], 4, size[1] * 8]
            with pytest.raises(MlpressError, match="shape"):
                fixed.predict({"x": sample(3, 4, 32)})
    alone = tmp_path / "alone.mlpackage"
    model.save(alone)
    sizes = [(one / "Data/com.apple.CoreML/weights/weight.bin").stat().st_size for one in (path, alone)]
    assert sizes[0] < 1.1 * sizes[1]  # weights are there once


def test_the_only_function_can_be_replaced(tmp_path: Path) -> None:
    model = convert((1, mlpress.RangeDim(1, 8), 32))
    materialize_dynamic_shape_mlmodel(model, {"main": {"x": (1, 6, 32)}}, tmp_path / "fixed.mlpackage")
    fixed = MLModel(tmp_path / "fixed.mlpackage")
    assert fixed.get_spec().specificationVersion == 7
    assert not fixed.get_spec().description.functions
    assert fixed.predict({"x": sample(1, 6, 32)})["y"].shape == (1, 4, 48)


@pytest.mark.parametrize(
    ("shapes", "reason"),
    [
        ({"z": (1, 2, 32)}, r"has no input 'z'; it has \['x'\]"),
        ({"x": (1, 2)}, r"shape \(1, 2\) is not one of input 'x'"),
        ({"x": (1, 2, 33)}, r"shape \(1, 2, 33\) is not one of input 'x'"),
    ],
)
def test_shapes_that_the_model_does_not_take_are_refused(shapes: Any, reason: str, tmp_path: Path) -> None:
    model = convert((1, mlpress.RangeDim(1, 8), 32))
    with pytest.raises(MlpressError, match=reason):
        materialize_dynamic_shape_mlmodel(model, {"fixed": shapes}, tmp_path / "fixed.mlpackage")


# Random weights.


@pytest.mark.parametrize("steps", [(), ("prune",), ("palettize",), ("quantize",), ("prune", "palettize")])
def test_random_weights_are_stored_as_before(steps: tuple[str, ...], tmp_path: Path) -> None:
    model = convert(target=mlpress.target.iOS18)
    for number, step in enumerate(steps):
        config: Any = {
            "prune": cto.OpMagnitudePrunerConfig(target_sparsity=0.5, weight_threshold=100),
            "palettize": cto.OpPalettizerConfig(nbits=3, weight_threshold=100),
            "quantize": cto.OpLinearQuantizerConfig(dtype="int4", mode="linear", weight_threshold=100),
        }[step]
        name = f"linear_{step}_weights" if step == "quantize" else f"{step}_weights"
        model = getattr(cto, name)(model, cto.OptimizationConfig(config), joint_compression=number > 0)
    made = randomize_weights(model)
    made.save(tmp_path / "random.mlpackage")
    before, after = cto.get_weights_metadata(model, 100), cto.get_weights_metadata(made, 100)
    assert list(before) == list(after)
    for name, weight in before.items():
        assert not np.array_equal(weight.val, after[name].val)
        assert weight.val.dtype == after[name].val.dtype
    made.predict({"x": sample(1, 3, 32)})


# Names.


@pytest.mark.parametrize("names", [("x", "image"), ("y", "scores")])
def test_features_get_other_names(names: tuple[str, str], tmp_path: Path) -> None:
    model = convert()
    spec = model.get_spec()
    rename_feature(spec, *names)
    renamed = MLModel(spec, weights_dir=model.weights_dir)
    renamed.save(tmp_path / "renamed.mlpackage")
    x = sample(1, 3, 32)
    (found,) = (
        MLModel(tmp_path / "renamed.mlpackage").predict({"image" if names[0] == "x" else "x": x}).items()
    )
    assert found[0] == ("scores" if names[0] == "y" else "y")
    assert np.array_equal(found[1], model.predict({"x": x})["y"])


def test_what_is_not_renamed() -> None:
    spec = convert().get_spec()
    before = spec.SerializeToString(deterministic=True)
    rename_feature(spec, "nothing", "other")
    rename_feature(spec, "x", "other", rename_inputs=False)
    rename_feature(spec, "y", "other", rename_outputs=False)
    assert spec.SerializeToString(deterministic=True) == before
    with pytest.raises(MlpressError, match="new_name is '1st'; allowed: letters"):
        rename_feature(spec, "x", "1st")
    with pytest.raises(MlpressError, match="function 'main' has a value 'y' already"):
        rename_feature(spec, "x", "y")
