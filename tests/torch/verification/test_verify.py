from __future__ import annotations

import json
import math
import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import mlpress
from mlpress import MLModel, Quantize, Verification, verify
from mlpress.errors import MlpressError
from mlpress.mil import Opset
from mlpress.ops.builder import Builder
from tests.torch.models.packages import classifier_model, counting_model, image_model, scalar_model
from tests.torch.runtime.programs import tensor_type
from tests.torch.verification.models import embedding, half_network, model, network, unary
from tests.unit.models.descriptions import array


def test_a_model_is_the_same_as_itself() -> None:
    found = verify(network(), network())
    assert found.samples == 8
    assert [row.name for row in found.outputs] == ["y"]
    assert found.min_snr == math.inf
    assert found.passed(1000)


def test_the_ratio_follows_its_definition() -> None:
    reference, changed = network(), network("second")
    samples = [{"x": np.random.default_rng(seed).standard_normal((2, 4))} for seed in range(3)]
    (row,) = verify(reference, changed, samples).outputs
    ours, theirs = (
        np.concatenate([each.predict(sample)["y"] for sample in samples]).astype(np.float64)
        for each in (reference, changed)
    )
    assert row.elements == ours.size
    assert row.snr_db == pytest.approx(10 * np.log10((ours**2).sum() / ((ours - theirs) ** 2).sum()))
    assert row.max_abs_error == pytest.approx(np.abs(ours - theirs).max())


def test_finds_what_compression_costs(tmp_path: Path) -> None:
    path = tmp_path / "model.mlpackage"
    network().save(path)
    coarse, fine = (
        verify(path, mlpress.compress(path, Quantize(dtype=dtype, weight_threshold=0)).model).min_snr
        for dtype in ("int4", "int8")
    )
    assert 10 < coarse < fine < 60


def test_less_noise_is_a_higher_ratio() -> None:
    levels = [verify(network(), network("first", noise)).min_snr for noise in (0.1, 0.01, 0.001)]
    assert levels == sorted(levels)
    assert verify(network(), network("first", 0.1)).passed(levels[0])
    assert not verify(network(), network("first", 0.1)).passed(levels[0] + 0.1)


def test_a_program_in_float16_against_float32() -> None:
    assert 50 < verify(network(), half_network()).min_snr < 90


def test_random_samples_are_the_same_each_time() -> None:
    pair = network(), network("first")
    assert verify(*pair, seed=3).to_dict() == verify(*pair, seed=3).to_dict()
    assert verify(*pair, seed=3).min_snr != verify(*pair, seed=4).min_snr


def test_nan_that_the_reference_does_not_have_fails_and_is_named() -> None:
    found = verify(unary("relu"), unary("sqrt"), [{"x": np.array([-1.0, 4.0])}])
    assert found.min_snr == -math.inf
    assert not found.passed(-1000)
    assert "0 in the reference, 1 in the model; 1 differ of 2" in str(found)


def test_nan_may_go_in() -> None:
    found = verify(unary("relu"), unary("relu"), [{"x": np.array([np.nan, 4.0])}])
    assert found.outputs[0].nonfinite_differences == 0
    assert found.min_snr == math.inf


def test_samples_are_read_one_at_a_time() -> None:
    class Held(np.ndarray):
        pass

    alive: list[weakref.ref[Held]] = []

    def stream() -> Iterator[dict[str, np.ndarray]]:
        for _ in range(20):
            assert sum(reference() is not None for reference in alive) <= 2
            held = np.ones((2, 4), np.float32).view(Held)
            alive.append(weakref.ref(held))
            yield {"x": held}

    assert verify(network(), network(), stream()).samples == 20


@pytest.mark.parametrize(
    ("samples", "total"), [(None, 3), ([{"x": np.ones((2, 4))}] * 3, 3), ("stream", None)]
)
def test_progress_tells_how_far_it_is(samples: object, total: int | None) -> None:
    if samples == "stream":
        samples = ({"x": np.ones((2, 4))} for _ in range(3))
    calls = []
    verify(network(), network(), samples, count=3, progress=lambda *call: calls.append(call))
    assert calls == [(1, total, "sample 1"), (2, total, "sample 2"), (3, total, "sample 3")]


def test_images_and_numbers_are_drawn() -> None:
    assert verify(image_model(), image_model()).min_snr == math.inf
    assert verify(scalar_model(), scalar_model()).outputs[0].elements == 8


# ---- classifiers ----


@pytest.mark.parametrize("labels", [("cat", "dog", "cow"), (7, 8, 9)])
def test_classifiers_are_compared_by_label(labels: tuple) -> None:
    samples = [{"x": np.array([[0.1, 0.2, 0.7]])}, {"x": np.array([[0.6, 0.3, 0.1]])}]
    found = verify(classifier_model(labels), classifier_model(labels), samples)
    assert found.top1_agreement == 1
    assert [row.name for row in found.outputs] == ["probs"]


def test_classes_in_another_order_go_together_by_label() -> None:
    # The inputs are the probabilities, so another order of labels gives them to others.
    ours, theirs = classifier_model(("a", "b")), classifier_model(("b", "a"))
    samples = [{"x": np.array([[0.9, 0.1]])}, {"x": np.array([[0.5, 0.5]])}]
    found = verify(ours, theirs, samples)
    assert found.top1_agreement == 0
    assert found.outputs[0].max_abs_error == pytest.approx(0.8)


def test_different_classes_cannot_be_compared() -> None:
    with pytest.raises(MlpressError, match=r"different classes.*reference 2, the model 2, 1 of them"):
        verify(classifier_model(("a", "b")), classifier_model(("a", "c")))


# ---- states ----


def test_a_sequence_shares_a_state_and_the_next_starts_afresh() -> None:
    one = {"x": np.array([1.0, 2.0])}
    sequences = [[one, one, one], [one], one]
    found = verify(counting_model(2), counting_model(2), sequences)
    assert found.samples == 5
    assert found.min_snr == math.inf
    # A model without a state gives 3 each time, one with a state 3, 6, 9.
    assert verify(counting_model(2), _sum_model(), sequences).outputs[0].max_abs_error == 6
    assert verify(counting_model(2), _sum_model(), [one, one]).outputs[0].max_abs_error == 0


def _sum_model() -> MLModel:
    build = Builder(Opset.CoreML8)
    x = build.input("x", tensor_type(2))
    y = build.op("reduce_sum", "y", x=x, axes=[0], keep_dims=True)
    return model(build, {x: array("x", 2)}, {y: array("y", 1)})


# ---- what is refused ----


def test_no_samples() -> None:
    with pytest.raises(MlpressError, match="there are no samples"):
        verify(network(), network(), [])


def test_no_random_samples() -> None:
    with pytest.raises(MlpressError, match="count is 0; allowed: 1 or more"):
        verify(network(), network(), count=0)


def test_different_inputs() -> None:
    with pytest.raises(MlpressError, match="different inputs: the reference 'x', the model 'i'"):
        verify(network(), embedding(4))


def test_different_outputs() -> None:
    build = Builder(Opset.CoreML8)
    x = build.input("x", tensor_type(2, 4))
    other = model(build, {x: array("x", 2, 4)}, {build.op("relu", "z", x=x): array("z", 2, 4)})
    with pytest.raises(MlpressError, match="different outputs: the reference 'y', the model 'z'"):
        verify(network(), other)


def test_different_shapes_of_an_input() -> None:
    build = Builder(Opset.CoreML8)
    x = build.input("x", tensor_type(5, 4))
    other = model(build, {x: array("x", 5, 4)}, {build.op("relu", "y", x=x): array("y", 5, 4)})
    with pytest.raises(MlpressError, match=r"input 'x' has different shapes: one model takes .*5 × 4.*2 × 4"):
        verify(network(), other)


def test_different_shapes_of_an_output() -> None:
    build = Builder(Opset.CoreML8)
    x = build.input("x", tensor_type(2, 4))
    other = model(build, {x: array("x", 2, 4)}, {build.op("relu", "y", x=x): array("y", 2, 4)})
    with pytest.raises(
        MlpressError, match="output 'y' has the shape 2 × 3 in the reference and 2 × 4 in the"
    ):
        verify(network(), other)


@pytest.mark.parametrize("samples", [[np.ones((2, 4))], [[1]]])
def test_samples_of_another_form(samples: object) -> None:
    with pytest.raises(TypeError, match="allowed: a dictionary of inputs"):
        verify(network(), network(), samples)


@pytest.mark.parametrize("samples", [{"x": np.ones((2, 4))}, 5])
def test_one_sample_in_place_of_several(samples: object) -> None:
    with pytest.raises(TypeError, match=r"samples is a \w+; allowed: an iterable of dictionaries of inputs"):
        verify(network(), network(), samples)


def test_a_sample_that_does_not_fit() -> None:
    with pytest.raises(MlpressError, match="input 'x' has shape"):
        verify(network(), network(), [{"x": np.ones((7, 7, 7))}])


# ---- the result ----


def test_prints_as_a_table() -> None:
    lines = str(verify(network(), network("second"))).splitlines()
    assert lines[0].split() == [
        "output",
        "SNR",
        "dB",
        "cosine",
        "max",
        "error",
        "relative",
        "NaN",
        "or",
        "infinite",
    ]
    assert lines[1].split()[0] == "y"
    assert lines[2].startswith("8 samples; lowest SNR of an output: ")


def test_json_holds_everything_and_no_number_that_json_lacks() -> None:
    data = json.loads(verify(network(), network(), per_op=True).to_json())
    assert data["samples"] == 8
    assert data["min_snr_db"] == "inf"
    assert data["top1_agreement"] is None
    assert data["outputs"][0]["name"] == "y"
    assert data["outputs"][0]["cosine"] == 1
    assert [row["name"] for row in data["operations"]] == ["hidden", "active", "y"]
    assert data["lost_at"] is None


def test_the_function_is_there_whatever_was_imported_before() -> None:
    from mlpress.verification import Verification as Class

    assert Class is Verification
    assert mlpress.verify(network(), network()).min_snr == math.inf
