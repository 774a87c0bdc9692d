"""`mlpress.convert`: arguments, interface, precision, and errors that help."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import mlpress
from mlpress import MLModel, bits
from mlpress.errors import MlpressError
from mlpress.mil import Operation
from mlpress.runtime import RunOptions


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torch's own, about tracing
        warnings.simplefilter("ignore", FutureWarning)
        yield


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.features = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
        self.head = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x).mean((2, 3)))


class Embedded(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.table = nn.Embedding(10, 6)
        self.layer = nn.Linear(6, 6)

    def forward(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        x = self.layer(self.table(ids))
        return x, x.argmax(-1)


SHAPE = (1, 3, 8, 8)
PIXELS = np.random.default_rng(0).uniform(-1, 1, SHAPE).astype(np.float32)


def converted(model: Any, *shape: Any, **options: Any) -> MLModel:
    if isinstance(model, nn.Module):
        model.eval()
    options.setdefault("minimum_deployment_target", mlpress.target.iOS16)
    if shape:
        options.setdefault("inputs", [mlpress.TensorType(name="x", shape=shape)])
    return mlpress.convert(model, **options)


def reference(model: nn.Module, x: Any) -> np.ndarray:
    with torch.no_grad():
        return model.eval()(torch.as_tensor(x)).numpy()


def only(outputs: dict[str, Any]) -> np.ndarray:
    (value,) = outputs.values()
    return value


def kinds(model: MLModel) -> list[str]:
    return [node.type for node in model.program.functions["main"].block.walk() if isinstance(node, Operation)]


def snr(ours: np.ndarray, theirs: np.ndarray) -> float:
    error = np.square(ours.astype(np.float64) - theirs).sum()
    return float(10 * np.log10(np.square(theirs.astype(np.float64)).sum() / max(error, 1e-30)))


# ---- what users hand in ----


def forms() -> dict[str, Any]:
    model = Net().eval()
    example = torch.zeros(SHAPE)
    return {
        "module": model,
        "traced": torch.jit.trace(model, example),
        "scripted": torch.jit.script(model),
        "exported": torch.export.export(model, (example,)),
        "core": torch.export.export(model, (example,)).run_decompositions(),
    }


@pytest.mark.parametrize("form", ["module", "traced", "scripted", "exported", "core"])
def test_every_form_of_a_model_gives_the_same_program(form: str) -> None:
    made = converted(forms()[form], *SHAPE, compute_precision=mlpress.precision.FLOAT32)
    assert kinds(made) == ["conv", "relu", "reduce_mean", "linear"]
    np.testing.assert_allclose(
        only(made.predict({"x": PIXELS})), reference(Net(), PIXELS), rtol=1e-4, atol=1e-6
    )


def test_an_exported_program_needs_no_inputs() -> None:
    made = converted(forms()["exported"])
    assert list(made.interface.inputs) == ["x"]
    assert made.interface.inputs["x"].dtype == bits.FLOAT32
    assert snr(only(made.predict({"x": PIXELS})), reference(Net(), PIXELS)) > 40


def test_example_tensors_say_what_the_inputs_are() -> None:
    made = mlpress.convert(Net().eval(), inputs=[torch.zeros(SHAPE)])
    assert only(made.predict({"x": PIXELS})).shape == (1, 4)


def test_a_model_in_training_mode_is_converted_as_in_evaluation_and_left_as_it_was() -> None:
    model = Net().train()
    with pytest.warns(UserWarning, match="training mode"):
        made = mlpress.convert(model, inputs=[mlpress.TensorType(shape=SHAPE)])
    assert model.training
    assert "batch_norm" not in kinds(made)


# ---- precision ----


@pytest.mark.parametrize(
    "target, dtype", [("iOS15", bits.FLOAT32), ("iOS16", bits.FLOAT16), ("macOS14", bits.FLOAT16)]
)
def test_float16_is_the_default_and_reaches_the_interface_from_ios16_on(target: str, dtype: Any) -> None:
    made = converted(Net().eval(), *SHAPE, minimum_deployment_target=getattr(mlpress.target, target))
    assert made.interface.inputs["x"].dtype == dtype
    assert next(iter(made.interface.outputs.values())).dtype == dtype
    made.run_options = RunOptions(precision="float16")
    assert snr(only(made.predict({"x": PIXELS})), reference(Net(), PIXELS)) > 40
    assert kinds(made).count("cast") == (2 if target == "iOS15" else 0)


def test_ios15_is_the_default_target() -> None:
    assert (
        mlpress.convert(Net().eval(), inputs=[mlpress.TensorType(shape=SHAPE)])
        .get_spec()
        .specificationVersion
        == 6
    )


def test_float32_stays_float32() -> None:
    made = converted(Net().eval(), *SHAPE, compute_precision=mlpress.precision.FLOAT32)
    assert made.interface.inputs["x"].dtype == bits.FLOAT32
    assert "cast" not in kinds(made)


def test_a_function_chooses_what_computes_in_float16() -> None:
    chosen = mlpress.transform.FP16ComputePrecision(op_selector=lambda op: op.op_type != "linear")
    made = converted(Net().eval(), *SHAPE, compute_precision=chosen)
    assert kinds(made) == ["conv", "relu", "reduce_mean", "cast", "linear"]
    (linear,) = (
        node for node in made.program.functions["main"].block.walk() if getattr(node, "type", "") == "linear"
    )
    assert linear.outputs[0].type.dtype == bits.FLOAT32


def test_a_constant_beyond_float16_keeps_its_operation_in_float32(caplog: pytest.LogCaptureFixture) -> None:
    class Large(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.relu(x * 1e6) * 1e-7

    made = converted(Large(), 2, 3)
    made.run_options = RunOptions(precision="float16")
    x = np.full((2, 3), 0.5, np.float32)
    np.testing.assert_allclose(only(made.predict({"x": x})), 0.05, rtol=1e-2)
    assert "beyond float16's range" in caplog.text


def test_angles_of_positions_are_exact_beyond_what_float16_can_count() -> None:
    class Rotary(nn.Module):
        def forward(self, positions: Tensor) -> Tensor:
            return torch.cos(positions.float()[:, None] * 0.7)

    made = mlpress.convert(
        Rotary().eval(),
        inputs=[mlpress.TensorType("p", (3,), np.int32)],
        minimum_deployment_target=mlpress.target.iOS17,
    )
    made.run_options = RunOptions(precision="float16")
    positions = np.array([1, 4001, 60003], np.int32)
    expected = np.cos(positions.astype(np.float64) * 0.7)[:, None]
    np.testing.assert_allclose(only(made.predict({"p": positions})), expected, atol=6e-3)


def test_a_mask_beyond_float16_becomes_its_lowest_number() -> None:
    class Masked(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.masked_fill(x > 0, torch.finfo(torch.float32).min).softmax(-1)

    made = converted(Masked(), 2, 4)
    assert "cast" not in kinds(made)
    x = np.array([[-1, 2, -3, 4], [1, -2, 3, -4]], np.float32)
    np.testing.assert_allclose(only(made.predict({"x": x})), reference(Masked(), x), atol=1e-3)


def test_a_small_epsilon_does_not_vanish_in_float16() -> None:
    made = converted(nn.LayerNorm(4, eps=1e-12), 2, 4)
    made.run_options = RunOptions(precision="float16")
    assert np.isfinite(only(made.predict({"x": np.ones((2, 4), np.float32)}))).all()


def test_half_precision_models_convert() -> None:
    made = converted(Net().eval().half(), *SHAPE)
    assert snr(only(made.predict({"x": PIXELS})), reference(Net(), PIXELS)) > 35


# ---- interface ----


def test_names_and_types_of_inputs_and_outputs_are_as_asked() -> None:
    made = mlpress.convert(
        Embedded().eval(),
        inputs=[mlpress.TensorType("token ids", (1, 5), np.int32)],
        outputs=[mlpress.TensorType("hidden", dtype=np.float32), mlpress.TensorType("best.token")],
        minimum_deployment_target=mlpress.target.iOS17,
    )
    assert list(made.interface.inputs) == ["token_ids"]
    assert {name: feature.dtype for name, feature in made.interface.outputs.items()} == {
        "hidden": bits.FLOAT32,
        "best_token": bits.INT32,
    }
    ids = np.array([[1, 2, 3, 4, 9]], np.int32)
    hidden, best = Embedded().eval()(torch.from_numpy(ids))
    found = made.predict({"token_ids": ids})
    np.testing.assert_allclose(found["hidden"], hidden.detach(), atol=2e-3)
    np.testing.assert_array_equal(found["best_token"], best)


def test_open_sizes_stay_open() -> None:
    shape = mlpress.Shape((1, mlpress.RangeDim(1, 32, default=4)))
    made = mlpress.convert(
        Embedded().eval(),
        inputs=[mlpress.TensorType("ids", shape, np.int32)],
        minimum_deployment_target=mlpress.target.iOS17,
    )
    for length in (1, 7, 32):
        ids = np.arange(length, dtype=np.int32)[None] % 10
        hidden, _ = Embedded().eval()(torch.from_numpy(ids))
        first = next(iter(made.predict({"ids": ids}).values()))
        np.testing.assert_allclose(first, hidden.detach(), atol=2e-3)
    with pytest.raises(MlpressError):
        made.predict({"ids": np.zeros((1, 33), np.int32)})


@pytest.mark.parametrize(
    "make",
    [
        lambda x: torch.zeros(x.shape, dtype=torch.int32),
        lambda x: torch.full(x.shape, 3, dtype=torch.int32),
        lambda x: torch.ones_like(x, dtype=torch.int32),
        lambda x: x.new_ones(x.shape, dtype=torch.bool).int(),
        lambda x: x.new_full((x.shape[0], 3), 2, dtype=torch.int32),
        lambda x: torch.arange(x.shape[0], dtype=torch.int32),
        lambda x: torch.arange(1, x.shape[0], 2, dtype=torch.float32),
    ],
)
def test_tensors_of_open_sizes_have_the_type_that_is_asked_for(make: Any) -> None:
    class Made(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return make(x), x + 1

    model = mlpress.convert(Made().eval(), inputs=[mlpress.TensorType("x", (mlpress.RangeDim(1, 8, 2), 3))])
    for count in (1, 5):
        made, _ = model.predict({"x": np.zeros((count, 3))}).values()
        expected = make(torch.zeros(count, 3))
        np.testing.assert_array_equal(made, expected.numpy())
        assert made.dtype == (np.float32 if expected.is_floating_point() else np.int32)


def test_open_sizes_of_any_number_of_inputs_stay_open() -> None:
    class Stacked(nn.Module):
        def forward(self, first: Tensor, *others: Tensor) -> Tensor:
            return torch.stack([first, *others]).sum(0)

    shape = (mlpress.RangeDim(1, 8, 2), 3)
    model = mlpress.convert(Stacked().eval(), inputs=[mlpress.TensorType(name, shape) for name in "abc"])
    for count in (1, 2, 5):
        values = {name: np.full((count, 3), number) for number, name in enumerate("abc")}
        (result,) = model.predict(values).values()
        np.testing.assert_array_equal(result, np.full((count, 3), 3.0))


def test_enumerated_shapes_are_those_and_no_others() -> None:
    shapes = mlpress.EnumeratedShapes([(1, 3, 8, 8), (1, 3, 16, 16)], default=(1, 3, 16, 16))
    made = mlpress.convert(
        Net().eval(), inputs=[mlpress.TensorType("x", shapes)], minimum_deployment_target=mlpress.target.iOS16
    )
    for size in (8, 16):
        x = np.ones((1, 3, size, size), np.float32)
        assert snr(only(made.predict({"x": x})), reference(Net(), x)) > 40
    with pytest.raises(MlpressError):
        made.predict({"x": np.ones((1, 3, 8, 16), np.float32)})


def test_images_are_scaled_and_shifted_by_channel() -> None:
    bias = [-0.5, -0.4, -0.3]
    made = mlpress.convert(
        Net().eval(),
        inputs=[
            mlpress.ImageType("photo", SHAPE, scale=1 / 255, bias=bias, color_layout=mlpress.colorlayout.BGR)
        ],
        minimum_deployment_target=mlpress.target.iOS16,
    )
    image = np.random.default_rng(1).integers(0, 256, SHAPE).astype(np.float32)
    runner_input = made.program.functions["main"].inputs[0]
    assert (runner_input.name, runner_input.type.dtype) == ("photo", bits.FLOAT32)
    feature = made.get_spec().description.input[0].type.imageType
    assert (feature.width, feature.height, feature.colorSpace) == (8, 8, 30)
    pixels = image / 255 + np.float32(bias).reshape(1, 3, 1, 1)
    found = made.to_torch()(torch.from_numpy(image))
    assert snr(only(found).detach().numpy(), reference(Net(), pixels)) > 40


def test_a_classifier_returns_a_label_and_probabilities() -> None:
    labels = ["cat", "dog", "fish", "owl"]
    made = converted(
        nn.Sequential(Net(), nn.Softmax(-1)).eval(),
        *SHAPE,
        classifier_config=mlpress.ClassifierConfig(labels),
    )
    found = made.predict({"x": PIXELS})
    best = labels[int(reference(Net(), PIXELS).argmax())]
    assert found["classLabel"] == best
    assert max(found["classLabel_probs"], key=found["classLabel_probs"].get) == best


def test_bool_inputs_and_outputs_are_numbers_outside() -> None:
    class Masked(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x > 0

    made = converted(Masked(), 2, 2)
    found = only(made.predict({"x": np.array([[1, -1], [-1, 1]], np.float32)}))
    np.testing.assert_array_equal(found, [[1, 0], [0, 1]])


def test_an_output_that_is_an_input_is_copied() -> None:
    class Same(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return x, x + 1

    found = converted(Same(), 2, 2).predict({"x": np.ones((2, 2), np.float32)})
    np.testing.assert_array_equal(list(found.values()), [np.ones((2, 2)), np.full((2, 2), 2)])


def test_unused_inputs_stay() -> None:
    class Second(nn.Module):
        def forward(self, a: Tensor, b: Tensor) -> Tensor:
            return b * 2

    made = mlpress.convert(Second().eval(), inputs=[mlpress.TensorType(shape=(2,))] * 2)
    assert list(made.interface.inputs) == ["a", "b"]


# ---- states and control flow ----


class Cache(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("sums", torch.zeros(1, 4))

    def forward(self, x: Tensor) -> Tensor:
        self.sums.add_(x)
        return self.sums * 2


def test_a_buffer_that_the_model_changes_becomes_a_state() -> None:
    made = converted(Cache(), 1, 4, minimum_deployment_target=mlpress.target.iOS18)
    state = made.make_state()
    x = np.array([[1, 2, 3, 4]], np.float32)
    for step in (1, 2, 3):
        np.testing.assert_allclose(only(made.predict({"x": x}, state)), 2 * step * x)
    assert [one.name for one in made.get_spec().description.state] == ["sums"]


def test_states_need_ios18() -> None:
    with pytest.raises(MlpressError, match=r"'sums'.*iOS 18"):
        converted(Cache(), 1, 4, minimum_deployment_target=mlpress.target.iOS17)


def test_a_branch_is_taken_when_the_program_runs() -> None:
    class Branch(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.cond(x.sum() > 0, lambda x: x * 2, lambda x: x - 1, (x,))

    made = converted(Branch(), 3)
    for x in (np.ones(3, np.float32), -np.ones(3, np.float32)):
        np.testing.assert_allclose(only(made.predict({"x": x})), reference(Branch(), x))


def test_an_input_may_be_called_like_a_builtin() -> None:
    class Branch(nn.Module):
        def forward(self, input: Tensor) -> Tensor:
            return torch.cond(input.sum() > 0, lambda x: x * 2, lambda x: x - 1, (input,))

    model = mlpress.convert(Branch().eval(), inputs=[mlpress.TensorType("x", (3,))])
    (result,) = model.predict({"x": np.ones(3)}).values()
    np.testing.assert_array_equal(result, np.full(3, 2))


def test_a_loop_runs_as_often_as_its_condition_says() -> None:
    class Loop(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch._higher_order_ops.while_loop(lambda x: x.sum() < 100, lambda x: (x * 2,), (x,))[0]

    made = converted(Loop(), 3)
    x = np.array([1, 2, 3], np.float32)
    np.testing.assert_allclose(only(made.predict({"x": x})), x * 32)


# ---- saving ----


def test_a_converted_model_is_saved_and_loaded(tmp_path: Path) -> None:
    made = converted(Net().eval(), *SHAPE, package_dir=str(tmp_path / "net.mlpackage"))
    loaded = MLModel(tmp_path / "net.mlpackage")
    np.testing.assert_array_equal(only(loaded.predict({"x": PIXELS})), only(made.predict({"x": PIXELS})))
    assert loaded.user_defined_metadata["com.github.mlpress.source"].startswith("torch==")


# ---- errors ----


@pytest.mark.parametrize(
    "options, message",
    [
        ({"source": "tensorflow"}, "source is 'tensorflow'"),
        ({"convert_to": "neuralnetwork"}, "convert_to is 'neuralnetwork'"),
        ({"inputs": None}, "inputs is not given"),
        ({"inputs": [mlpress.TensorType("x")]}, "'x' has no shape"),
        ({"inputs": [mlpress.TensorType(shape=SHAPE)] * 2}, "do not fit forward"),
        ({"inputs": ["x"]}, "an input is a str"),
        ({"outputs": [mlpress.TensorType()] * 2}, "2 outputs are described; the model returns 1"),
        ({"minimum_deployment_target": mlpress.target.iOS14}, "iOS14; allowed: iOS15 and later"),
        ({"compute_precision": "float16"}, "compute_precision is 'float16'"),
        (
            {
                "inputs": [mlpress.TensorType(shape=SHAPE, dtype=np.float16)],
                "minimum_deployment_target": None,
            },
            "needs minimum_deployment_target iOS16",
        ),
        ({"classifier_config": mlpress.ClassifierConfig(["a", "b"])}, "2 class labels for 4 probabilities"),
        (
            {"states": [mlpress.StateType(mlpress.TensorType(shape=(1,)), "cache")]},
            "state 'cache' is no buffer",
        ),
    ],
)
def test_wrong_arguments_are_explained(options: dict[str, Any], message: str) -> None:
    options.setdefault("inputs", [mlpress.TensorType(shape=SHAPE)])
    with pytest.raises(MlpressError, match=message):
        mlpress.convert(Net().eval(), **options)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: mlpress.RangeDim(1, -1), "upper_bound is -1"),
        (lambda: mlpress.RangeDim(4, 2), "no sizes from 4 to 2"),
        (lambda: mlpress.RangeDim(1, 4, default=9), "default is 9"),
        (lambda: mlpress.EnumeratedShapes([(1, 2)]), "two or more shapes"),
        (lambda: mlpress.TensorType(dtype=np.complex64), "allowed: float16"),
        (lambda: mlpress.ImageType(color_layout="CMYK"), "allowed: RGB"),
        (lambda: mlpress.ClassifierConfig([]), "at least one"),
    ],
)
def test_wrong_descriptions_are_explained(make: Any, message: str) -> None:
    with pytest.raises(MlpressError, match=message):
        make()
