"""Rows of the benchmark, the table that shows them and the file that keeps them."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from rich import box
from rich.console import Console
from rich.table import Table

from mlpress.kernels import backend
from mlpress.version import __version__

_WIDTH = 190
"""Columns, also where the output is no terminal."""


@dataclass(frozen=True, slots=True)
class Row:
    """A figure and what it should be.

    Attributes:
        topic: Heading that it comes under.
        work: What was done.
        ours: What mlpress took or gave, in words.
        peer: The same of coremltools; empty where there is nothing to compare with.
        figure: The figure that counts.
        target: What it should reach, or None for a figure that is only shown.
        sense: Whether the figure should be at least or at most the target.
        note: Whatever else is worth knowing.
        error: Standard error of the figure; 0 where it is not known.
    """

    topic: str
    work: str
    ours: str
    peer: str
    figure: float
    target: float | None
    sense: Literal["at least", "at most"] = "at most"
    note: str = ""
    error: float = 0.0

    @property
    def reached(self) -> bool | None:
        """Whether the figure, to three decimals, is what it should be; None without a target."""
        if self.target is None:
            return None
        figure = round(self.figure, 3)
        return figure >= self.target if self.sense == "at least" else figure <= self.target

    @property
    def undecided(self) -> bool:
        """Whether the target is missed by no more than two standard errors, as chance may do."""
        return self.reached is False and abs(self.figure - self.target) <= 2 * self.error


def show(rows: Sequence[Row]) -> None:
    """Prints the rows, a table for each topic."""
    console = Console(width=max(_WIDTH, Console().width))
    for topic in dict.fromkeys(row.topic for row in rows):
        table = Table(title=topic, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
        table.add_column("work", no_wrap=True)
        for name in ("mlpress", "coremltools", "figure", "to reach", "reached"):
            table.add_column(name, justify="right", no_wrap=True)
        table.add_column("note", no_wrap=True)
        for row in rows:
            if row.topic == topic:
                table.add_row(row.work, row.ours, row.peer, *_verdict(row), row.note)
        console.print(table)


def _verdict(row: Row) -> tuple[str, str, str]:
    figure = f"{row.figure:.3f}" if row.figure < 10 else f"{row.figure:.1f}"
    if row.error:
        figure += f" ± {row.error:.3f}"
    if row.target is None:
        return figure, "", ""
    missed = "no, within 2 errors" if row.undecided else "no"
    return figure, f"{row.sense} {row.target:g}", "yes" if row.reached else missed


def keep(rows: Sequence[Row], path: Path) -> None:
    """Writes the rows and what they were measured on as JSON."""
    peers = ("coremltools", "numpy", "scikit-learn")
    data = {
        "machine": {"processor": _processor(), "cores": os.cpu_count(), "system": platform.platform()},
        "versions": {
            "mlpress": __version__,
            "python": platform.python_version(),
            **{name: version(name) for name in peers},
        },
        "kernels": backend,
        "rows": [asdict(row) | {"reached": row.reached, "undecided": row.undecided} for row in rows],
    }
    path.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = (line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
