"""What samples do for weights: results of the model change less."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from mlpress import MLModel, Palettize, Prune, Quantize, Recipe, compress
from mlpress.encoding import Affine, Dense, decode
from mlpress.errors import StrictError
from mlpress.passes import weights
from tests.torch.calibration.weights.models import network, one_op, output_snr, samples

GPTQ = Quantize(dtype="int4", method="gptq", weight_threshold=0)
SPARSE = Prune(sparsity=0.5, method="sparse_gpt", weight_threshold=0)

OPERATORS: dict[str, tuple[Any, ...]] = {
    "linear": ("linear", "weight", (24, 64), (2, 5, 64)),
    "matmul right": ("matmul", "y", (64, 24), (2, 5, 64)),
    "matmul right, transposed": ("matmul", "y", (12, 32), (5, 32), {"transpose_y": True}),
    "matmul right of columns": ("matmul", "y", (32, 12), (32, 5), {"transpose_x": True}),
    "matmul left": ("matmul", "x", (12, 32), (2, 32, 5)),
    "matmul left, transposed": ("matmul", "x", (32, 12), (5, 32), {"transpose_x": True, "transpose_y": True}),
    "conv 1d": ("conv", "weight", (24, 16, 3), (2, 16, 21), {"strides": [2]}),
    "conv 2d": ("conv", "weight", (8, 8, 3, 2), (1, 8, 9, 7), {"pad_type": "custom", "pad": [1, 0, 2, 1]}),
    "conv 2d in groups": ("conv", "weight", (32, 4, 3, 3), (2, 16, 8, 8), {"groups": 4, "pad_type": "same"}),
    "conv 2d dilated": ("conv", "weight", (8, 4, 3, 3), (2, 4, 9, 9), {"dilations": [2, 3]}),
    "conv 3d": ("conv", "weight", (6, 4, 2, 3, 2), (1, 4, 5, 6, 4), {"pad_type": "same_lower"}),
    "depthwise": ("conv", "weight", (24, 1, 3, 3), (1, 24, 6, 6), {"groups": 24}),
}


def made(name: str) -> tuple[MLModel, list[Any]]:
    kind, parameter, weight, x, *rest = OPERATORS[name]
    return one_op(kind, parameter, weight, x, **(rest[0] if rest else {})), samples(
        x, axis=1 if kind == "conv" else -1
    )


@pytest.mark.parametrize("name", OPERATORS)
def test_gptq_changes_results_less_than_rounding_to_nearest(name: str) -> None:
    model, given = made(name)
    nearest = compress(model, Quantize(dtype="int4", weight_threshold=0)).model
    found, report = compress(model, GPTQ, data=given)
    assert output_snr(model, found, given) > output_snr(model, nearest, given)
    (row,) = (row for row in report if row.name == "weight")
    assert row.samples_snr_db == pytest.approx(output_snr(model, found, given), abs=1e-2)


@pytest.mark.parametrize("name", OPERATORS)
def test_sparse_gpt_drops_as_many_and_knows_what_becomes_of_the_results(name: str) -> None:
    model, given = made(name)
    found, report = compress(model, SPARSE, data=given, strict=True)
    (row,) = (row for row in report if row.name == "weight")
    assert row.samples_snr_db == pytest.approx(output_snr(model, found, given), abs=1e-2)
    assert np.mean(stored(found)["weight"] == 0) == pytest.approx(0.5, abs=0.06)


def test_sparse_gpt_changes_results_less_than_dropping_by_magnitude() -> None:
    gains = []
    for name in OPERATORS:
        model, given = made(name)
        plain = compress(model, Prune(sparsity=0.5, weight_threshold=0)).model
        found = compress(model, SPARSE, data=given).model
        gains.append(output_snr(model, found, given) - output_snr(model, plain, given))
    assert min(gains) > 0
    assert np.mean(gains) > 0.8


def stored(model: MLModel) -> dict[str, np.ndarray]:
    return {each.constant.name: decode(each.encoding) for each in weights(model.program)}


@pytest.mark.parametrize("nbits", [1, 2, 3])
def test_palettes_go_by_how_large_inputs_are(nbits: int) -> None:
    """The gradient of a linear operator's outputs by a weight is the input that goes with it.

    Weights are as much smaller as their inputs are larger, as in networks without normalization.
    """
    random, size = np.random.default_rng(0), np.logspace(0, 1.5, 64)
    model = one_op("linear", "weight", (24, 64), (2, 5, 64), scale=1 / size)
    given = [{"x": (random.standard_normal((2, 5, 64)) * size).astype(np.float32)} for _ in range(24)]
    plain = compress(model, Palettize(nbits=nbits, weight_threshold=0)).model
    found = compress(model, Palettize(nbits=nbits, method="sensitive", weight_threshold=0), data=given).model
    errors = [
        np.sum(np.square((stored(each)["weight"] - stored(model)["weight"]) * size))
        for each in (found, plain)
    ]
    assert errors[0] < 0.5 * errors[1]


def test_a_weight_is_as_sensitive_as_its_input_is_large() -> None:
    """Half of the inputs are zero: what these weights become does not matter, so the others are exact."""
    model = one_op("linear", "weight", (2, 8), (3, 8))
    given = [{"x": one["x"] * np.arange(8).__lt__(4)} for one in samples((3, 8))]
    found, report = compress(model, Palettize(nbits=3, method="sensitive", weight_threshold=0), data=given)
    np.testing.assert_allclose(stored(found)["weight"][:, :4], stored(model)["weight"][:, :4], rtol=1e-6)
    assert report.rows[0].samples_snr_db > 100 > 20 > report.rows[0].snr_db


# ---- with each other, and with what was there ----

SENSITIVE = Palettize(nbits=4, method="sensitive")

COMBINATIONS = {
    "gptq in blocks": Recipe.of(Quantize(dtype="int4", granularity="per_block", block_size=8, method="gptq")),
    "gptq, searched scales": Recipe.of(Quantize(dtype="uint4", mode="linear", scales="mse", method="gptq")),
    "gptq per tensor": Recipe.of(Quantize(dtype="uint8", granularity="per_tensor", method="gptq")),
    "prune, gptq": Prune(sparsity=0.5) >> GPTQ,
    "sparse_gpt, gptq": SPARSE >> GPTQ,
    "sparse_gpt, quantize": SPARSE >> Quantize(),
    "sparse_gpt, palettize, quantize": SPARSE >> Palettize(nbits=4) >> Quantize(),
    "sparse_gpt, sensitive": SPARSE >> SENSITIVE,
    "sensitive, quantize": SENSITIVE >> Quantize(),
    "sensitive in groups": Recipe.of(Palettize(nbits=2, group_size=4, method="sensitive")),
    "sensitive with scales": Recipe.of(Palettize(nbits=3, per_channel_scale=True, method="sensitive")),
    "sparse_gpt, sensitive, quantize": SPARSE >> SENSITIVE >> Quantize(),
    "gptq, palettize": Quantize(method="gptq") >> Palettize(nbits=4),
    "gptq, prune": GPTQ >> Prune(sparsity=0.5),
}


def for_all(recipe: Recipe) -> Recipe:
    """The same for weights of any size."""
    data = recipe.to_dict()
    for step in data["steps"]:
        for arguments in step.values():
            arguments["weight_threshold"] = 0
    return Recipe.from_dict(data)


def without_methods(recipe: Recipe) -> Recipe:
    data = recipe.to_dict()
    for step in data["steps"]:
        for arguments in step.values():
            arguments.pop("method", None)
    return Recipe.from_dict(data)


@pytest.mark.parametrize("name", COMBINATIONS)
def test_stages_with_and_without_samples_compose(name: str) -> None:
    """Weights have the form that they have without samples."""
    recipe, model = for_all(COMBINATIONS[name]), network()
    _, report = compress(model, recipe, data=samples((1, 6, 16)), strict=True)
    _, without = compress(model, without_methods(recipe), strict=True)
    forms = [[re.sub(r"\d+%", "", row.after) for row in each] for each in (report, without)]
    assert forms[0] == forms[1]


@pytest.mark.parametrize("name", [name for name in COMBINATIONS if name.startswith("sparse_gpt")])
def test_what_sparse_gpt_made_up_for_is_not_undone_by_stages_after_it(name: str) -> None:
    recipe, model, given = for_all(COMBINATIONS[name]), network(), samples((1, 6, 16))
    found = compress(model, recipe, data=given).model
    plain = compress(model, without_methods(recipe)).model
    assert output_snr(model, found, given) > output_snr(model, plain, given)


def test_one_call_or_two_on_a_package(tmp_path) -> None:
    """A pruned package is compressed further by samples, and what was dropped stays dropped."""
    model, given = network(), samples((1, 6, 16))
    pruned = compress(model, for_all(Recipe.of(SPARSE)), data=given).model
    pruned.save(tmp_path / "pruned.mlpackage")
    further = compress(tmp_path / "pruned.mlpackage", for_all(Recipe.of(GPTQ)), data=given, strict=True).model
    both = compress(model, for_all(SPARSE >> GPTQ), data=given, strict=True).model
    zeros = stored(pruned)["first"] == 0
    assert not stored(further)["first"][zeros].any()
    assert output_snr(model, further, given) == pytest.approx(output_snr(model, both, given), abs=2)


def test_two_of_four_along_the_input_channels() -> None:
    model, given = made("conv 2d")
    stage = Prune(n_m_ratio=(2, 4), method="sparse_gpt", weight_threshold=0)
    found = compress(model, stage, data=given, strict=True).model
    groups = stored(found)["weight"].reshape(8, 2, 4, 3, 2)
    assert ((groups == 0).sum(axis=2) == 2).all()
    plain = compress(model, Prune(n_m_ratio=(2, 4), weight_threshold=0)).model
    assert output_snr(model, found, given) > output_snr(model, plain, given)


@pytest.mark.parametrize(
    "first, stage, reason",
    [
        (Palettize(nbits=4), GPTQ, "it is palettized: method 'gptq' is for weights without a table"),
        (Quantize(), GPTQ, "it is quantized already"),
        (Quantize(), SPARSE, "it is quantized or palettized already"),
        (Palettize(nbits=4), SENSITIVE, "it is quantized or palettized already"),
    ],
)
def test_what_cannot_be_done_to_a_compressed_weight_has_a_reason(first, stage, reason) -> None:
    model, given = network(), samples((1, 6, 16), 2)
    first_done = compress(model, for_all(Recipe.of(first))).model
    found, report = compress(first_done, for_all(Recipe.of(stage)), data=given)
    assert len(report.skipped) == 2
    assert all(reason in row.reason for row in report.skipped)
    assert [type(each.encoding) for each in weights(found.program)] == [
        type(each.encoding) for each in weights(first_done.program)
    ]
    with pytest.raises(StrictError, match=reason):
        compress(first_done, for_all(Recipe.of(stage)), data=given, strict=True)


def test_exceptions_by_operator() -> None:
    recipe = Quantize(dtype="int4", weight_threshold=0).but(
        op_types={"linear": Quantize(weight_threshold=0, method="gptq")}
    )
    model, report = compress(network(), recipe, data=samples((1, 6, 16)), strict=True)
    first, second = (each.encoding for each in weights(model.program))
    assert isinstance(first, Affine)
    assert isinstance(second, Affine)
    assert [row.samples_snr_db is None for row in report] == [True, False]
    assert (first.data.dtype.bits, second.data.dtype.bits) == (4, 8)


def test_samples_are_read_once_and_the_model_stays(tmp_path) -> None:
    model, served = network(), []
    before = stored(model)

    def stream():
        for number, sample in enumerate(samples((1, 6, 16), 5)):
            served.append(number)
            yield sample

    compress(model, for_all(SPARSE >> SENSITIVE >> Quantize()), data=stream(), workers=2)
    assert served == [0, 1, 2, 3, 4]
    assert all(np.array_equal(before[name], values) for name, values in stored(model).items())
    assert all(isinstance(each.encoding, Dense) for each in weights(model.program))
