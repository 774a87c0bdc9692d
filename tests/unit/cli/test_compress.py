from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlpress import MLModel
from mlpress.encoding import Affine, Encoding, Lut, Scatter, decode
from mlpress.passes import weights
from tests.unit.cli.conftest import Run


def stored(path: Path) -> dict[str, Encoding]:
    return {weight.constant.name: weight.encoding for weight in weights(MLModel(path).program)}


def test_flags_compose_prune_then_palettize_then_quantize(run: Run, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mlpackage"
    # The order of the flags does not matter.
    outcome = run("compress", model, "-o", out, "--quantize", "int8", "--palettize", 4, "--prune", 0.8)
    assert outcome.code == 0, outcome.err
    encoding = stored(out)["dense1_weight"]
    assert isinstance(encoding, Scatter)
    assert isinstance(encoding.source, Lut)
    assert isinstance(encoding.source.table, Affine)
    assert np.mean(decode(encoding) == 0) == pytest.approx(0.8, abs=0.01)


def test_report_is_printed(run: Run, model: Path, tmp_path: Path) -> None:
    outcome = run(
        "compress",
        model,
        "-o",
        tmp_path / "out.mlpackage",
        "--quantize",
        "int4",
        "--granularity",
        "per_block",
        "--block-size",
        16,
    )
    assert "dense1_weight" in outcome.out
    assert "2 compressed" in outcome.out
    assert outcome.err == ""


def test_json_on_standard_output_equals_the_report_file(run: Run, model: Path, tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    outcome = run(
        "compress", model, "-o", tmp_path / "out.mlpackage", "--palettize", 2, "--json", "--report", file
    )
    report = json.loads(outcome.out)
    assert report == json.loads(file.read_text())
    rows: dict[str, Any] = {row["name"]: row for row in report["rows"]}
    assert rows["conv2_weight"]["status"] == "compressed"
    assert rows["conv1_weight"]["status"] == "left"
    assert "2048" in rows["conv1_weight"]["reason"]


def test_weight_threshold_reaches_small_weights(run: Run, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mlpackage"
    run("compress", model, "-o", out, "--quantize", "int8", "--weight-threshold", 1000)
    assert isinstance(stored(out)["dense2_weight"], Affine)


def test_recipe_file(run: Run, model: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("steps: [{palettize: {nbits: 4, group_size: 16}, op_types: {conv: null}}]")
    out = tmp_path / "out.mlpackage"
    assert run("compress", model, "-o", out, "--recipe", recipe).code == 0
    encodings = stored(out)
    assert isinstance(encodings["dense1_weight"], Lut)
    assert encodings["dense1_weight"].table.shape == (8, 1, 16, 1)
    assert encodings["conv2_weight"] == stored(model)["conv2_weight"]


def test_strict_turns_a_skip_into_exit_code_3(run: Run, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mlpackage"
    # 512 input channels divide into blocks of 96 no better than 16 do.
    flags = ("--quantize", "int8", "--granularity", "per_block", "--block-size", 96)
    outcome = run("compress", model, "-o", out, *flags, "--strict")
    assert outcome.code == 3
    assert "dense1_weight" in outcome.err
    assert not out.exists()

    assert run("compress", model, "-o", out, *flags).code == 0
    assert stored(out) == stored(model)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "say what to do"),
        (("--palettize", 5), "nbits is 5"),
        (("--prune", 1.5), "sparsity"),
        (("--quantize", "int5"), "dtype"),
        (("--group-size", 4, "--prune", 0.5), "--group-size goes with --palettize"),
        (("--granularity", "per_tensor", "--prune", 0.5), "--granularity goes with --quantize"),
        (("--recipe", "some.yaml", "--prune", 0.5), "--prune cannot go with it"),
        (("--prune", 0.5, "--workers", 0), "workers"),
        (("--unknown",), "--unknown"),
    ],
)
def test_wrong_arguments_exit_with_2(
    run: Run, model: Path, tmp_path: Path, arguments: Any, words: str
) -> None:
    out = tmp_path / "out.mlpackage"
    outcome = run("compress", model, "-o", out, *arguments)
    assert outcome.code == 2
    assert words in outcome.err
    assert not out.exists()


def test_failures_are_one_line_and_exit_with_1(run: Run, model: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("steps: [{shrink: {}}]")
    out = tmp_path / "out.mlpackage"
    for arguments, words in (
        (("compress", tmp_path / "no.mlpackage", "-o", out, "--prune", 0.5), "no.mlpackage"),
        (("compress", model, "-o", out, "--recipe", recipe), "shrink"),
        (("compress", model, "-o", out, "--recipe", tmp_path / "no.yaml"), "no.yaml"),
        (("compress", model, "-o", tmp_path / "out.txt", "--prune", 0.5), ".txt"),
        (("compress", model, "-o", tmp_path / "no" / "out.mlpackage", "--prune", 0.5), "no directory"),
        (
            ("compress", model, "-o", out, "--prune", 0.5, "--report", tmp_path / "no" / "report.json"),
            "report.json",
        ),
    ):
        outcome = run(*arguments)
        assert outcome.code == 1
        assert outcome.err.startswith("mlpress: ")
        assert outcome.err.count("\n") == 1
        assert words in outcome.err
        assert not out.exists()


def test_output_may_replace_the_model(run: Run, model: Path) -> None:
    assert run("compress", model, "-o", model, "--palettize", 4).code == 0
    assert isinstance(stored(model)["dense1_weight"], Lut)


def test_an_interrupt_exits_with_130(
    run: Run, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("mlpress.api.compress", interrupted)
    assert run("compress", model, "-o", tmp_path / "out.mlpackage", "--prune", 0.5).code == 130
