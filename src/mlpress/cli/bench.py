"""`mlpress bench`: how fast models predict, and how much memory and disk they take."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mlpress.cli.arguments import Json, Model
from mlpress.cli.progress import progress_bar
from mlpress.cli.render import Column, count, emit, print_table

if TYPE_CHECKING:
    from mlpress.verification import Bench, BenchRow

_COLUMNS: tuple[Column, ...] = (
    ("model", "left"),
    ("median ms", "right"),
    ("p95 ms", "right"),
    ("memory bytes", "right"),
    ("package bytes", "right"),
)


def bench(
    model: Model,
    against: Annotated[
        Path | None,
        typer.Option(metavar="MODEL", help="Another model of the same inputs and outputs, side by side."),
    ] = None,
    rounds: Annotated[int, typer.Option(metavar="N", min=1, help="Predictions of each to time.")] = 50,
    json: Json = False,
) -> None:
    """Time predictions of a model, or of two in turns; this needs PyTorch.

    Each model runs in a process of its own, on one random input of its default shapes. Memory is what it
    takes once it runs, pages of its file included. OMP_NUM_THREADS in the environment sets the number of
    threads.
    """
    from mlpress.verification import bench as bench_packages

    with progress_bar("predicting") as advance:
        found = bench_packages(model, against, rounds=rounds, progress=advance)
    if json:
        emit(found.to_json())
    else:
        _print(found)


def _print(found: Bench) -> None:
    print_table(_COLUMNS, [_cells(row) for row in found.rows])
    emit(f"{found.rounds} predictions each{_comparison(found.rows)}")


def _cells(row: BenchRow) -> tuple[str, ...]:
    times = (f"{1000 * seconds:.2f}" for seconds in (row.median_seconds, row.p95_seconds))
    memory = "unknown" if row.memory is None else count(row.memory)
    return (row.path, *times, memory, count(row.nbytes))


def _comparison(rows: tuple[BenchRow, ...]) -> str:
    if len(rows) == 1:
        return ""
    first, second = rows
    return (
        f"; the first takes {first.median_seconds / second.median_seconds:.2f} times the time "
        f"and {first.nbytes / second.nbytes:.2f} times the bytes of the second"
    )
