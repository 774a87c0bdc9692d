from __future__ import annotations

import json
from pathlib import Path

from tests.unit.cli.conftest import Run


def test_a_model_is_the_same_as_itself(run: Run, model: Path) -> None:
    outcome = run("diff", model, model)
    assert outcome.code == 0
    assert (
        outcome.out.splitlines()[-1]
        == "8 weights, 8 with the same values; 140.1 KiB in the first, 140.1 KiB in the second"
    )


def test_shows_what_compression_changed(run: Run, model: Path, tmp_path: Path) -> None:
    small = tmp_path / "small.mlpackage"
    run("compress", model, "-o", small, "--quantize", "int8")
    rows = {row["name"]: row for row in json.loads(run("diff", model, small, "--json").out)["weights"]}
    assert rows["conv1_weight"]["snr_db"] == "inf"
    assert 35 < rows["dense1_weight"]["snr_db"] < 50
    assert rows["dense1_weight"]["encodings"][0] == "float16"
    assert rows["dense1_weight"]["nbytes"][0] > 1.9 * rows["dense1_weight"]["nbytes"][1]
    assert "6 with the same values" in run("diff", model, small).out


def test_a_decompressed_model_has_the_same_values(run: Run, model: Path, tmp_path: Path) -> None:
    small, plain = tmp_path / "small.mlpackage", tmp_path / "plain.mlpackage"
    run("compress", model, "-o", small, "--prune", 0.5, "--palettize", 3)
    outcome = run("decompress", small, "-o", plain)
    assert outcome.code == 0
    assert outcome.out.rstrip().endswith("-> 140.1 KiB")
    assert "8 with the same values" in run("diff", small, plain).out
    assert json.loads(run("decompress", small, "-o", plain, "--json").out)["nbytes_after"] == 2 * 71754
