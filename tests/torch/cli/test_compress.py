"""`mlpress compress --data`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlpress import MLModel
from mlpress.encoding import Affine, Lut, Scatter
from mlpress.passes import weights
from tests.torch.calibration.weights.models import network, samples
from tests.torch.calibration.weights.test_gathering import stateful
from tests.unit.cli.conftest import Run


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.mlpackage"
    network().save(path)
    return path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    np.savez(tmp_path / "samples.npz", x=np.stack([one["x"] for one in samples((1, 6, 16), 8)]))
    return tmp_path / "samples.npz"


def test_flags_stand_for_the_methods_that_take_samples(
    run: Run, model: Path, data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.mlpackage"
    flags = ("--quantize", "int4", "--weight-threshold", 0, "--json")
    found = json.loads(run("compress", model, "-o", out, "--data", data, *flags).out)
    assert all(row["samples_snr_db"] > row["snr_db"] for row in found["rows"])
    assert all(isinstance(each.encoding, Affine) for each in weights(MLModel(out).program))
    outcome = run("compress", model, "-o", out, "--quantize", "int4", "--weight-threshold", 0)
    assert "on samples" not in outcome.out


def test_all_three_stages(run: Run, model: Path, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mlpackage"
    flags = ("--prune", 0.5, "--palettize", 3, "--quantize", "int8", "--weight-threshold", 0, "--strict")
    outcome = run("compress", model, "-o", out, "--data", data, *flags)
    assert outcome.code == 0
    assert "on samples" in outcome.out.splitlines()[0]
    for each in weights(MLModel(out).program):
        assert isinstance(each.encoding, Scatter)
        assert isinstance(each.encoding.source, Lut)


def test_a_recipe_names_its_methods(run: Run, model: Path, data: Path, tmp_path: Path) -> None:
    recipe, out = tmp_path / "recipe.yaml", tmp_path / "out.mlpackage"
    recipe.write_text(
        "steps: [{quantize: {method: gptq, weight_threshold: 0}, op_types: {linear: {palettize: {nbits: 4, "
        "method: sensitive, weight_threshold: 0}}}}]"
    )
    assert run("compress", model, "-o", out, "--recipe", recipe, "--data", data, "--strict").code == 0
    first, second = (each.encoding for each in weights(MLModel(out).program))
    assert isinstance(first, Affine)
    assert isinstance(second, Lut)


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"z": np.ones((2, 1, 6, 16))}, "there is no input 'z'"),
        ({"x": np.ones((2, 1, 6, 17))}, "has shape (1, 6, 17)"),
        ({"x": np.ones((6, 16))}, "'x' has 2 axes"),
        ({"x": np.full((1, 6, 16), np.nan)}, "input 'x' holds NaN"),
        ({"x": np.ones((0, 1, 6, 16))}, "there are no samples"),
        ({}, "input 'x' is missing"),
    ],
)
def test_bad_samples_leave_no_files(
    run: Run, model: Path, tmp_path: Path, arrays: dict[str, Any], words: str
) -> None:
    data, out, report = tmp_path / "bad.npz", tmp_path / "out.mlpackage", tmp_path / "report.json"
    np.savez(data, **arrays)
    before = sorted(path.name for path in tmp_path.iterdir())
    flags = ("--quantize", "int4", "--weight-threshold", 0, "--report", report)
    outcome = run("compress", model, "-o", out, "--data", data, *flags)
    assert outcome.code == 1
    assert words in outcome.err
    assert outcome.err.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_samples_that_are_missing_or_not_asked_for(run: Run, model: Path, data: Path, tmp_path: Path) -> None:
    recipe, out = tmp_path / "recipe.yaml", tmp_path / "out.mlpackage"
    for text, given, words in (
        ("steps: [{quantize: {method: gptq}}]", (), "give data="),
        ("steps: [{quantize: {}}]", ("--data", data), "no stage takes samples"),
        ("steps: [{quantize: {method: gptq}}]", ("--data", tmp_path / "no.npz"), "no.npz"),
        ("steps: [{quantize: {method: magic}}]", ("--data", data), "method"),
    ):
        recipe.write_text(text)
        outcome = run("compress", model, "-o", out, "--recipe", recipe, *given)
        assert outcome.code == 1
        assert words in outcome.err
        assert not out.exists()


@pytest.mark.parametrize("how", ["flags", "recipe"])
def test_fine_tuning(run: Run, model: Path, data: Path, tmp_path: Path, how: str) -> None:
    out, recipe = tmp_path / "out.mlpackage", tmp_path / "recipe.yaml"
    recipe.write_text(
        "steps: [{prune: {sparsity: 0.5, weight_threshold: 0}}, {quantize: {weight_threshold: 0}}]"
    )
    flags = ("--prune", 0.5, "--quantize", "int8", "--weight-threshold", 0)
    chosen = flags if how == "flags" else ("--recipe", recipe)
    outcome = run("compress", model, "-o", out, *chosen, "--data", data, "--fine-tune", 2, "--strict")
    assert outcome.code == 0
    assert outcome.err == ""
    for each in weights(MLModel(out).program):
        assert isinstance(each.encoding, Scatter)
        assert isinstance(each.encoding.source, Affine)
    assert MLModel(out).get_spec().description == MLModel(model).get_spec().description


def test_fine_tuning_that_is_not_possible(run: Run, model: Path, data: Path, tmp_path: Path) -> None:
    recipe, out = tmp_path / "recipe.yaml", tmp_path / "out.mlpackage"
    recipe.write_text("steps: [{quantize: {method: gptq}}]")
    for given, code, words in (
        (("--quantize", "int8", "--fine-tune", 1), 2, "--fine-tune goes with --data"),
        (("--quantize", "int8", "--data", data, "--fine-tune", 0), 2, "--fine-tune"),
        (("--recipe", recipe, "--data", data, "--fine-tune", 1), 1, "training takes stages without a method"),
    ):
        outcome = run("compress", model, "-o", out, *given)
        assert outcome.code == code
        assert words in outcome.err
        assert not out.exists()


def test_a_function_and_its_states(run: Run, tmp_path: Path) -> None:
    model, data, out = (tmp_path / name for name in ("model.mlpackage", "samples", "out.mlpackage"))
    stateful(2, 3).save(model)
    data.mkdir()
    for number in range(3):
        np.savez(data / f"{number}.npz", x=np.stack([one["x"] for one in samples((3, 8), 4)]))
    flags = ("--quantize", "int4", "--weight-threshold", 0, "--strict")
    assert run("compress", model, "-o", out, *flags, "--data", data, "--function", "by_3").code == 0
    wrong = run("compress", model, "-o", out, *flags, "--data", data)
    assert wrong.code == 1
    assert "input 'x' has shape (3, 8)" in wrong.err
    missing = run("compress", model, "-o", out, *flags, "--data", data, "--function", "by_4")
    assert missing.code == 1
    assert "by_4" in missing.err
