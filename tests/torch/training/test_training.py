"""Packages are trained in compressed form, and written back in the encodings that were trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mlpress import MLModel, Palettize, Prune, Quantize, Recipe, Step, compress, fine_tune, trainable
from mlpress.encoding import decode
from mlpress.errors import MlpressError, RecipeError, StrictError
from mlpress.optimize.torch.pruning import PolynomialDecayScheduler
from mlpress.passes import weights
from tests.torch.calibration.weights.models import network, output_snr, samples

SAMPLES = samples((1, 6, 16), 32)

INT4 = Quantize(dtype="int4", weight_threshold=0)
PRUNE, TABLE = Prune(sparsity=0.5, weight_threshold=0), Palettize(nbits=2, weight_threshold=0)
INT8 = Quantize(weight_threshold=0)

RECIPES = {
    "int4": Recipe.of(INT4),
    "uint8, one scale": Recipe.of(
        Quantize(dtype="uint8", mode="linear", granularity="per_tensor", weight_threshold=0)
    ),
    "table": Recipe.of(TABLE),
    "pruned": Recipe.of(PRUNE),
    "2 of 4": Recipe.of(Prune(n_m_ratio=(2, 4), weight_threshold=0).but(op_types={"matmul": None})),
    "pruned, int8": PRUNE >> INT8,
    "table of int8": TABLE >> INT8,
    "pruned, table of int8": PRUNE >> TABLE >> INT8,
}


def stored(model: MLModel) -> dict[str, np.ndarray]:
    return {each.constant.name: decode(each.encoding) for each in weights(model.program)}


def test_parameters_are_the_floats_of_the_program() -> None:
    session = trainable(network(), INT4)
    assert {tuple(each.shape) for each in session.parameters()} == {(16, 48), (12, 48)}


@pytest.mark.parametrize("name", RECIPES)
def test_the_package_computes_what_was_trained(name: str, tmp_path: Path) -> None:
    """In evaluation the module gives the outputs of the package, whose scales and tables are float16."""
    model, recipe = network(), RECIPES[name]
    session = trainable(model, recipe)
    optimizer = torch.optim.SGD(session.parameters(), lr=1e-2)
    for sample in SAMPLES[:6]:
        optimizer.zero_grad()
        session.module(torch.from_numpy(sample["x"]))["y"].square().mean().backward()
        optimizer.step()
        session.step()
    finished, report = session.finish(strict=True)
    finished.save(tmp_path / "trained.mlpackage")
    for sample in SAMPLES[:4]:
        expected = session.module(torch.from_numpy(sample["x"]))["y"].detach().numpy()
        found = MLModel(tmp_path / "trained.mlpackage").predict(sample)["y"]
        np.testing.assert_allclose(found, expected, atol=5e-3 * np.abs(expected).max())
    _, plain = compress(model, recipe, strict=True)
    assert [row.after for row in report] == [row.after for row in plain]
    assert not np.array_equal(stored(finished)["second"], stored(compress(model, recipe).model)["second"])


@pytest.mark.parametrize("name", ["int4", "table", "pruned", "pruned, table of int8"])
def test_fine_tuning_from_samples_alone_keeps_outputs(name: str) -> None:
    model, recipe = network(), RECIPES[name]
    found = fine_tune(model, recipe, SAMPLES, epochs=6, batch=4, learning_rate=3e-4, strict=True).model
    plain = compress(model, recipe).model
    assert output_snr(model, found, SAMPLES) > output_snr(model, plain, SAMPLES)


def test_pruning_by_a_schedule() -> None:
    schedule = PolynomialDecayScheduler(update_steps=range(1, 8))
    session = trainable(network(), PRUNE, schedule=schedule)
    kept = []
    for _ in range(8):
        session.step()
        kept.append(np.mean(stored(session.finish().model)["first"] != 0))
    assert kept == sorted(kept, reverse=True)
    assert kept[0] > 0.9
    assert kept[-1] == pytest.approx(0.5, abs=0.01)


def test_what_a_package_has_dropped_stays_dropped() -> None:
    pruned = compress(network(), PRUNE).model
    found, report = fine_tune(pruned, INT8, SAMPLES[:8], strict=True)
    assert all("sparse" in row.after for row in report)
    for name, values in stored(pruned).items():
        assert not stored(found)[name][values == 0].any()


def test_the_model_stays_and_exceptions_are_left() -> None:
    model = network()
    before = stored(model)
    recipe = INT4.but(names={"second": None})
    found, report = fine_tune(model, recipe, SAMPLES[:8])
    assert [row.status for row in report] == ["compressed", "left"]
    assert not np.array_equal(stored(found)["second"], before["second"])  # trained all the same, in float16
    assert stored(found)["second"].dtype == np.float16
    assert all(np.array_equal(before[name], values) for name, values in stored(model).items())
    assert found.get_spec().description == model.get_spec().description


@pytest.mark.parametrize(
    ("recipe", "reason"),
    [
        (INT4 >> TABLE, "at most one of each, prune, then palettize, then quantize"),
        (Quantize(granularity="per_block", weight_threshold=0), "scales per_tensor and per_channel"),
        (Palettize(mode="unique", weight_threshold=0), "k-means, not mode 'unique'"),
        (Prune(threshold=0.1, weight_threshold=0), "training prunes by sparsity"),
    ],
)
def test_what_cannot_be_trained_has_a_reason_and_is_left(recipe: Any, reason: str) -> None:
    model = network()
    found, report = fine_tune(model, recipe, SAMPLES[:4])
    assert all(reason in row.reason for row in report.skipped)
    assert len(report.skipped) == 2
    assert all(np.array_equal(values, stored(found)[name]) for name, values in stored(model).items())
    with pytest.raises(StrictError, match=reason):
        fine_tune(model, recipe, SAMPLES[:4], strict=True)
    compressed = compress(model, TABLE).model
    assert "decompress it to train it" in fine_tune(compressed, INT8, SAMPLES[:2]).report.skipped[0].reason


@pytest.mark.parametrize(
    ("data", "arguments", "message"),
    [
        ([], {}, "there are no samples"),
        ([{}], {}, "sample 0: input 'x' is missing"),
        ([{"x": np.full((1, 6, 16), np.nan)}], {}, "sample 0: input 'x' holds NaN"),
        (iter(SAMPLES), {"epochs": 2}, "data can be read once, and epochs is 2"),
        (SAMPLES, {"batch": 0}, "batch is 0; it has to be more than 0"),
        ([{"x": np.full((1, 6, 16), np.inf)}], {}, "the loss is nan"),
    ],
)
def test_bad_samples_and_arguments(data: Any, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(MlpressError, match=message):
        fine_tune(network(), INT4, data, **arguments)


def test_methods_that_take_samples_are_not_trained() -> None:
    recipe = Step(None, {"linear": Quantize(method="gptq")})
    with pytest.raises(RecipeError, match="training takes stages without a method"):
        trainable(network(), recipe)
