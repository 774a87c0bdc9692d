from __future__ import annotations

import json
import math

import numpy as np
import pytest

from mlpress.encoding import decode
from mlpress.passes import Report, compress
from mlpress.passes.report import human_bytes, snr_db
from mlpress.recipe import Palettize, Quantize, Recipe
from tests.unit.passes.programs import encodings, linears, random, row

WEIGHTS = {
    "w": random((64, 32)),
    "odd": random((30, 32)),
    "few": np.tile(np.float16([1, 2]), (64, 16)),
    "small": random((4, 4)),
}
RECIPE = Recipe.of(Palettize(nbits=4, group_size=16, weight_threshold=100))


@pytest.fixture
def report() -> Report:
    return compress(linears(WEIGHTS), RECIPE)[1]


def test_a_row_for_each_weight_in_program_order(report: Report) -> None:
    assert [found.name for found in report] == ["w", "odd", "few", "small"]
    assert [found.status for found in report] == ["compressed", "skipped", "compressed", "left"]
    assert len(report) == 4
    assert [found.name for found in report.skipped] == ["odd"]


def test_what_a_row_says(report: Report) -> None:
    found = row(report, "w")
    assert found.function == "main"
    assert found.operations == (("linear", "w_op"),)
    assert found.shape == (64, 32)
    assert found.before == "float16"
    assert found.after == "4-bit palette x4 · float16 table"
    assert found.nbytes_before == 2 * 64 * 32
    assert found.nbytes_after == 64 * 32 // 2 + 4 * 16 * 2
    assert found.bits_per_weight == pytest.approx(4.5)
    assert found.reason == ""


def test_the_ratio_of_signal_to_noise() -> None:
    compressed, report = compress(linears(WEIGHTS), RECIPE)
    values = WEIGHTS["w"].astype(np.float64)
    noise = np.square(decode(encodings(compressed)["w"]) - values).sum()
    assert row(report, "w").snr_db == pytest.approx(10 * math.log10(np.square(values).sum() / noise))
    assert row(report, "few").snr_db == math.inf
    assert row(report, "odd").snr_db is None


def test_totals(report: Report) -> None:
    totals = report.totals
    assert (totals["weights_compressed"], totals["weights_skipped"], totals["weights_left"]) == (2, 1, 1)
    assert totals["nbytes_before"] == sum(found.nbytes_before for found in report)
    assert totals["nbytes_after"] == sum(found.nbytes_after for found in report)
    assert totals["ratio"] == totals["nbytes_before"] / totals["nbytes_after"]
    assert totals["bits_per_weight"] == 8 * report.nbytes_after / sum(found.size for found in report)


def test_json_is_strict_and_complete(report: Report) -> None:
    data = json.loads(report.to_json(), parse_constant=lambda name: pytest.fail(name))
    assert [entry["name"] for entry in data["rows"]] == ["w", "odd", "few", "small"]
    assert data["rows"][2]["snr_db"] == "inf"
    assert data["rows"][1]["snr_db"] is None
    assert data["totals"] == report.totals


def test_json_of_a_weight_of_zeros_that_came_back_as_something_else_is_strict_too() -> None:
    report = compress(
        linears({"w": np.zeros((32, 32), np.float16)}), Recipe.of(Quantize(weight_threshold=0))
    )[1]
    json.loads(report.to_json(), parse_constant=lambda name: pytest.fail(name))


def test_the_table_shows_what_was_asked_for_and_the_totals(report: Report) -> None:
    lines = str(report).splitlines()
    assert lines[0].split() == ["weight", "shape", "before", "after", "bytes", "bits", "SNR", "dB"]
    assert "64x32" in lines[1]
    assert "skipped: palettize: group_size 16 does not divide the 30 channels of axis 0" in lines[2]
    assert lines[3].endswith("exact")
    assert lines[-1].startswith("2 compressed, 1 skipped, 1 left; ")
    assert len(lines) == 5


def test_a_report_of_nothing() -> None:
    report = compress(linears({"w": random((2, 2))}), RECIPE)[1]
    assert len(report) == 0
    assert report.totals["ratio"] == 1
    assert str(report).splitlines()[-1].startswith("0 compressed")


@pytest.mark.parametrize(
    ("nbytes", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (3 << 20, "3.0 MiB"), (5 << 40, "5120.0 GiB")],
)
def test_bytes_for_people(nbytes: int, text: str) -> None:
    assert human_bytes(nbytes) == text


def test_no_error_and_no_signal() -> None:
    assert snr_db(0, 5) == math.inf
    assert snr_db(0, 0) == math.inf
    assert snr_db(1, 0) == -math.inf
    assert snr_db(1, 100) == pytest.approx(20)
