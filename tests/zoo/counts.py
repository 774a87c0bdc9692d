"""The record of how many operations programs of the zoo have, coremltools' beside ours, and its page."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TypedDict

from mlpress.mil import Operation
from mlpress.models import MLModel

RECORD = Path(__file__).with_name("counts.json")
TABLE = Path(__file__).parents[2] / "docs" / "zoo.md"

ROUTES = ("trace", "export")


class Counts(TypedDict, total=False):
    """Operations of a network, captured one way, for iOS 18 in float16.

    Attributes:
        mlpress: Those of our program.
        coremltools: Those of coremltools' program, if it makes one.
        fails: Why coremltools makes none as it is; with `coremltools` beside it, `peer.sizes_of_one_element`
            helps.
    """

    mlpress: int
    coremltools: int
    fails: str


Record = Mapping[str, Mapping[str, Counts]]
"""Counts by network and route."""


def operations(model: MLModel) -> int:
    """Returns the number of operations that compute something, those of nested blocks included.

    Constants are none, compressed ones neither.
    """
    blocks = [function.block for function in model.program.functions.values()]
    return sum(isinstance(node, Operation) for block in blocks for node in block.walk())


def recorded() -> dict[str, dict[str, Counts]]:
    """Returns what has been measured."""
    record: dict[str, dict[str, Counts]] = json.loads(RECORD.read_text(encoding="utf-8"))
    return record


def write(record: Record) -> None:
    """Keeps a record, and the table made of it."""
    RECORD.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    TABLE.write_text(table(record), encoding="utf-8")


_INTRODUCTION = """\
# The zoo, beside coremltools

The {count} networks of `make test-zoo`, handed over as `torch.jit.trace` and as `torch.export` capture them:
how many operations the program for iOS 18 in float16 has. Constants are not counted. mlpress converts all of
them both ways. coremltools 9.0, with torch 2.13, NumPy 2.4 and transformers 5.23, converts {trace} by trace
({helped} with a function replaced that computes no sizes under NumPy 2.4, see `tests/zoo/peer.py`) and
{export} by export, after `run_decompositions({{}})`, which it asks for. "fails" stands with the number of the
reason, below the table, and with the count after that replacement, if it helps.

`python -m tests.zoo.measure_counts` measures what `tests/zoo/counts.json` lacks and writes this page;
`python -m tests.zoo.measure_counts mlpress` counts mlpress's operations again.

| network | trace: mlpress | trace: coremltools | export: mlpress | export: coremltools |
|---|---|---|---|---|
"""


def table(record: Record) -> str:
    """Returns a page about a record, with a row for each network."""
    reasons: dict[str, int] = {}
    rows = [
        f"| {' | '.join([name, *(_cell(routes[route], reasons) for route in ROUTES)])} |\n"
        for name, routes in record.items()
    ]
    introduction = _INTRODUCTION.format(
        count=len(record),
        trace=sum("fails" not in routes["trace"] for routes in record.values()),
        helped=sum("coremltools" in routes["trace"] for routes in record.values()),
        export=sum("fails" not in routes["export"] for routes in record.values()),
    )
    return "".join(
        [introduction, *rows, "\n", *(f"{number}. `{reason}`\n" for reason, number in reasons.items())]
    )


def _cell(counts: Counts, reasons: dict[str, int]) -> str:
    peers = [str(counts["coremltools"])] if "coremltools" in counts else []
    if "fails" in counts:
        peers.insert(0, f"fails ({reasons.setdefault(counts['fails'], len(reasons) + 1)})")
    return f"{counts['mlpress']} | {'; '.join(peers)}"
