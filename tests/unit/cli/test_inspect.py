from __future__ import annotations

import json
from pathlib import Path

from tests.unit.cli.conftest import Run


def test_lists_operators_and_weights(run: Run, model: Path) -> None:
    outcome = run("inspect", model)
    assert outcome.code == 0
    lines = [line.split() for line in outcome.out.splitlines()]
    assert lines[0][:4] == ["main", "(CoreML8):", "relu", "3,"]
    assert ["conv2_weight", "conv", "32x16x3x3", "float16", "9,216", "16.00"] in lines
    assert outcome.out.splitlines()[-1] == "71,754 weights in 140.1 KiB, 16.00 bits a weight"


def test_prints_json(run: Run, model: Path) -> None:
    found = json.loads(run("inspect", model, "--json").out)
    assert found["functions"][0]["operators"]["conv"] == 2
    (weight,) = (row for row in found["weights"] if row["name"] == "dense1_weight")
    assert weight["shape"] == [128, 512]
    assert weight["operations"] == [["linear", "dense1"]]
    assert weight["nbytes"] == 2 * 128 * 512
    assert found["totals"] == {"size": 71754, "nbytes": 2 * 71754, "bits_per_weight": 16.0}


def test_shows_how_compressed_weights_are_stored(run: Run, model: Path, tmp_path: Path) -> None:
    small = tmp_path / "small.mlpackage"
    run("compress", model, "-o", small, "--palettize", 4, "--quantize", "int8")
    lines = [line for line in run("inspect", small).out.splitlines() if "dense1_weight" in line]
    assert len(lines) == 1
    assert "4-bit palette" in lines[0]
    assert "int8 table" in lines[0]
