"""From samples to a model with 8-bit activations."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from mlpress import Palettize, Prune, Quantize, RunOptions, Step, compress
from mlpress.api import quantize_activations
from mlpress.calibration import MeanSquaredError, MinMax, Percentile
from mlpress.errors import MlpressError
from mlpress.models import MLModel
from mlpress.optimize import coreml as cto
from tests.torch.calibration.models import (
    CONV,
    LINEAR,
    TRANSPOSED,
    VOLUME,
    attention,
    convolutional,
    on_request,
    product,
)
from tests.torch.models.packages import counting_model

RANDOM = np.random.default_rng(1)
SAMPLES = [{"x": RANDOM.standard_normal((1, 3, 8, 8)).astype(np.float32)} for _ in range(4)]


def fake_quantized(x, row):
    limits = torch.iinfo(getattr(torch, row.dtype))
    levels = (x / np.float32(row.scale)).round() + row.zero_point
    return (levels.clamp(limits.min, limits.max) - row.zero_point) * np.float32(row.scale)


@pytest.mark.parametrize("estimator", [MinMax(), Percentile(99), MeanSquaredError()], ids=repr)
@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("mode", ["linear_symmetric", "linear"])
def test_it_computes_what_torch_simulates(mode, dtype, estimator):
    model, report = quantize_activations(
        convolutional(), SAMPLES, Quantize(mode=mode, dtype=dtype), estimator=estimator
    )
    rows = {row.name: row for row in report}
    assert list(rows) == ["x", "relu", "pool", "flat", "logits"]
    for sample in SAMPLES:
        x = fake_quantized(torch.from_numpy(sample["x"]), rows["x"])
        x = fake_quantized(F.relu(F.conv2d(x, torch.from_numpy(CONV))), rows["relu"])
        x = fake_quantized(F.max_pool2d(x, 2), rows["pool"]).flatten(1)
        x = fake_quantized(F.linear(x, torch.from_numpy(LINEAR)), rows["logits"])
        np.testing.assert_allclose(model.predict(sample)["y"], F.softmax(x, 1).numpy(), atol=1e-6)


@pytest.mark.parametrize("kernels", ["fast", "exact"])
@pytest.mark.parametrize("mode", ["linear_symmetric", "linear"])
def test_what_coremltools_leaves_out_computes_what_torch_simulates(mode, kernels):
    samples = [{"x": RANDOM.standard_normal((1, 3, 4, 4)).astype(np.float32)} for _ in range(3)]
    kinds = ("conv_transpose", "matmul", "scaled_dot_product_attention")
    rules = Step(Quantize(mode=mode), dict.fromkeys(kinds, Quantize(mode=mode)))
    model, report = quantize_activations(on_request(), samples, rules)
    model.run_options = RunOptions(kernels=kernels)
    rows = {row.name: row for row in report}
    assert list(rows) == ["x", "up", "deep", "solid", "rows", "scores", "mixed"]

    def q(name, x):
        return fake_quantized(x, rows[name])

    for sample in samples:
        up = q(
            "up",
            F.conv_transpose2d(q("x", torch.from_numpy(sample["x"])), torch.from_numpy(TRANSPOSED), stride=2),
        )
        solid = q("solid", F.conv3d(q("deep", up[:, None]), torch.from_numpy(VOLUME)))
        x = q("rows", solid.reshape(1, 2, 18, 6))
        mixed = q("mixed", q("scores", x @ x.mT) @ x)
        expected = F.scaled_dot_product_attention(mixed, x, mixed)
        np.testing.assert_allclose(model.predict(sample)["y"], expected.numpy(), atol=1e-5)


def test_ranges_are_those_of_all_samples_in_one_pass():
    served = []

    def samples():
        for number in (3.0, -7.0, 1.0):
            served.append(number)
            yield {"a": np.full((1, 4), number, np.float32), "b": np.ones((1, 4), np.float32)}

    report = quantize_activations(product(), samples()).report
    assert served == [3, -7, 1]
    assert [(row.name, row.low, row.high) for row in report] == [("a", -7, 3), ("l", -7, 3)]


def test_products_of_attention_on_request():
    samples = [{"x": RANDOM.standard_normal((1, 6, 4)).astype(np.float32)} for _ in range(3)]
    assert len(quantize_activations(attention(), samples).report) == 0
    model, report = quantize_activations(attention(), samples, Step(None, {"matmul": Quantize()}))
    assert [row.name for row in report] == ["x", "scores", "weights"]
    for sample in samples:
        exact = attention().predict(sample)["y"]
        error = np.linalg.norm(model.predict(sample)["y"] - exact) / np.linalg.norm(exact)
        assert 0 < error < 0.03


def test_a_sequence_shares_a_state_and_other_functions_stay():
    model = counting_model(2, 3)
    step = {"x": np.ones(2, np.float16)}
    quantized, report = quantize_activations(model, [[step] * 3, step])
    assert {row.name: (row.low, row.high) for row in report} == {
        "before": (0, 4),
        "added": (2, 2),
        "y": (2, 6),
    }
    assert quantized.program.functions["by_3"] is model.program.functions["by_3"]


@pytest.mark.parametrize("saved", [False, True])
def test_weights_before_or_after_and_in_a_file(tmp_path, saved):
    """A8W4 with an int8 table, and pruned before: the same weights, activations as near to each other."""
    recipe = Prune(sparsity=0.5, weight_threshold=0) >> Palettize(nbits=4, weight_threshold=0)
    recipe = recipe >> Quantize(weight_threshold=0)
    first = compress(quantize_activations(convolutional(), SAMPLES).model, recipe, strict=True).model
    second = quantize_activations(compress(convolutional(), recipe).model, SAMPLES).model
    if saved:
        for index, model in enumerate([first, second]):
            model.save(tmp_path / f"{index}.mlpackage")
        first, second = (MLModel(tmp_path / f"{index}.mlpackage") for index in range(2))
    for sample in SAMPLES:
        ours, theirs = (model.predict(sample)["y"] for model in (first, second))
        np.testing.assert_allclose(ours, theirs, atol=0.02)


# ---- samples that are none ----


@pytest.mark.parametrize(
    "samples, message",
    [
        ([], "there are no samples"),
        ([SAMPLES[0], {}], "sample 1: input 'x' is missing"),
        ([{"z": 1}], "sample 0: there is no input 'z'"),
        ([{"x": np.ones((1, 3, 8, 9))}], r"sample 0: input 'x' has shape \(1, 3, 8, 9\)"),
        ([SAMPLES[0], {"x": np.full((1, 3, 8, 8), np.nan)}], "sample 1: input 'x' holds NaN"),
    ],
)
def test_bad_samples(samples, message):
    with pytest.raises(MlpressError, match=message):
        quantize_activations(convolutional(), samples)


def test_a_sample_that_is_no_dictionary():
    with pytest.raises(TypeError, match="sample 0 is a ndarray"):
        quantize_activations(convolutional(), [np.ones(3)])


def test_a_value_that_is_infinite_keeps_its_operator_in_floats():
    samples = [{"a": np.full((1, 4), np.inf, np.float32), "b": np.ones((1, 4), np.float32)}]
    model, report = quantize_activations(product(), samples)
    assert report.problems == ["linear 'l': the value 'a' has no finite range"]
    assert not np.isfinite(model.predict(samples[0])["y"]).any()


# ---- coremltools' name ----


def symmetric(**arguments):
    return cto.OptimizationConfig(global_config=cto.OpLinearQuantizerConfig(**arguments))


def test_the_name_of_coremltools():
    ours, _ = quantize_activations(convolutional(), SAMPLES)
    named = cto.linear_quantize_activations(convolutional(), symmetric(), SAMPLES)
    former = cto.experimental.linear_quantize_activations(
        convolutional(),
        cto.OptimizationConfig(cto.experimental.OpActivationLinearQuantizerConfig(mode="linear_symmetric")),
        SAMPLES,
        calibration_op_group_size=1,
    )
    expected = ours.predict(SAMPLES[0])["y"]
    for model in (named, former):
        np.testing.assert_array_equal(model.predict(SAMPLES[0])["y"], expected)


def test_rules_by_type_and_name():
    config = symmetric()
    config.set_op_type("max_pool", None)
    config.set_op_name("logits", cto.OpLinearQuantizerConfig(dtype="uint8"))
    model = cto.linear_quantize_activations(convolutional(), config, SAMPLES)
    found = {value.name: str(value.type.dtype) for value in values_of(model) if "quantized" in value.name}
    assert found["flat_quantized"] == "uint8"
    assert "pool_quantized" not in found


def values_of(model):
    return [value for node in model.program.functions["main"].block.operations for value in node.outputs]


def test_the_only_input_needs_no_name():
    samples = [{None: sample["x"]} for sample in SAMPLES]
    model = cto.linear_quantize_activations(convolutional(), symmetric(), samples)
    expected, _ = quantize_activations(convolutional(), SAMPLES)
    np.testing.assert_array_equal(model.predict(SAMPLES[0])["y"], expected.predict(SAMPLES[0])["y"])
    assert list(samples[0]) == [None]
    with pytest.raises(MlpressError, match="the model takes a, b: name each"):
        cto.linear_quantize_activations(product(), symmetric(), samples)


@pytest.mark.parametrize("given", [SAMPLES[0], None, "samples.npz"], ids=["one", "none", "a path"])
def test_what_is_no_iterable_of_samples(given):
    for quantize in (
        lambda: quantize_activations(convolutional(), given),
        lambda: cto.linear_quantize_activations(convolutional(), symmetric(), given),
    ):
        with pytest.raises(TypeError, match="allowed: an iterable of dictionaries"):
            quantize()


def test_a_configuration_for_something_else():
    config = cto.OptimizationConfig(cto.OpPalettizerConfig(nbits=4))
    with pytest.raises(MlpressError, match="OpPalettizerConfig is not for this function"):
        cto.linear_quantize_activations(convolutional(), config, SAMPLES)
    with pytest.raises(MlpressError, match="int8 or uint8"):
        cto.linear_quantize_activations(convolutional(), symmetric(dtype="int4"), SAMPLES)
