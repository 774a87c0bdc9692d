"""``python -m benchmarks [--quick] [--only TOPIC ...]``: measures, prints tables, keeps them as JSON."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from benchmarks import convert_topics, topics, torch_topics
from benchmarks.fast import fast
from benchmarks.latency import latency
from benchmarks.package_quality import packages_of_digits, packages_of_sentences
from benchmarks.session import Session
from benchmarks.table import Row, keep, show

FOLDER = Path("bench-output")
_TORCH_PAIRS = 3
"""How often work on torch modules is timed: the peer takes long to get ready."""

_QUICK: Final = ("resnet50", "workers")

TOPICS: Final[dict[str, Callable[[Session], Iterator[Row]]]] = {
    "resnet50": lambda session: topics.speed_and_memory(session, "resnet50"),
    "workers": lambda session: topics.two_workers(session, "resnet50"),
    "minilm": lambda session: topics.speed_and_memory(session, "minilm"),
    "tables": lambda session: topics.tables(session, "minilm"),
    "combinations": lambda session: topics.combinations(session, "minilm"),
    "scales": lambda session: topics.searched_scales(session, "minilm"),
    "vectors": lambda session: topics.vectors(session, "minilm"),
    "latency": lambda session: latency(session.folder),
    "fast": lambda session: fast(session.folder),
    "package-digits": lambda _: packages_of_digits(),
    "package-sentences": lambda _: packages_of_sentences(),
    "torch-digits": lambda _: torch_topics.accuracy_on_digits(),
    "torch-sentences": lambda _: torch_topics.accuracy_on_sentences(),
    "torch-speed": lambda session: torch_topics.speed_and_memory(session.folder, _TORCH_PAIRS),
    "convert": lambda session: convert_topics.conversion(session.folder, _TORCH_PAIRS),
    "large-decoder": lambda session: convert_topics.large_decoder(session.folder),
}


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="mlpress beside coremltools")
    parser.add_argument(
        "--quick", action="store_true", help=f"fewer runs, of {' and '.join(_QUICK)} if no topics are named"
    )
    parser.add_argument("--only", nargs="+", choices=TOPICS, metavar="TOPIC", help=", ".join(TOPICS))
    options = parser.parse_args()
    FOLDER.mkdir(exist_ok=True)
    session = Session(FOLDER, pairs=2 if options.quick else 5)
    chosen = options.only or (_QUICK if options.quick else tuple(TOPICS))
    rows = [row for name in chosen for row in TOPICS[name](session)]
    show(rows)
    keep(rows, FOLDER / "benchmark.json")


if __name__ == "__main__":
    main()
