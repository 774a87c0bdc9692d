"""``python -m benchmarks [--quick]``: measures, prints the tables and keeps them as JSON in bench-output."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from benchmarks import convert_topics, topics, torch_topics
from benchmarks.latency import latency
from benchmarks.session import Session
from benchmarks.table import Row, keep, show

FOLDER = Path("bench-output")
_TORCH_PAIRS = 3
"""How often work on torch modules is timed: the peer takes long to get ready."""


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="mlpress beside coremltools")
    parser.add_argument("--quick", action="store_true", help="ResNet-50's times and memory only")
    quick = parser.parse_args().quick
    FOLDER.mkdir(exist_ok=True)
    session = Session(FOLDER, pairs=2 if quick else 5)
    rows = list(_resnet50(session) if quick else _everything(session))
    show(rows)
    keep(rows, FOLDER / "benchmark.json")


def _resnet50(session: Session) -> Iterator[Row]:
    yield from topics.speed_and_memory(session, "resnet50")
    yield from topics.two_workers(session, "resnet50")


def _everything(session: Session) -> Iterator[Row]:
    yield from _resnet50(session)
    for topic in (
        topics.speed_and_memory,
        topics.tables,
        topics.combinations,
        topics.searched_scales,
        topics.vectors,
    ):
        yield from topic(session, "minilm")
    yield from latency(FOLDER)
    yield from torch_topics.accuracy_on_digits()
    yield from torch_topics.accuracy_on_sentences()
    yield from torch_topics.speed_and_memory(FOLDER, _TORCH_PAIRS)
    yield from convert_topics.conversion(FOLDER, _TORCH_PAIRS)
    yield from convert_topics.large_decoder(FOLDER)


if __name__ == "__main__":
    main()
