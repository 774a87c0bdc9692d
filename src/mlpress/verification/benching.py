"""How fast packages predict, and how much memory and disk they take, side by side."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from mlpress.errors import MlpressError
from mlpress.models import MLModel
from mlpress.verification.bench_process import BenchProcess
from mlpress.verification.index_bounds import common_bounds
from mlpress.verification.pairing import check_interfaces
from mlpress.verification.random_inputs import random_inputs

Progress = Callable[[int, int | None, str], None]
"""Takes how many rounds are done, of how many, and the name of the package that predicted last."""


_TURN: Final = 10
"""Predictions of one package before the other one's turn."""


@dataclass(frozen=True, slots=True)
class BenchRow:
    """What one package took.

    Attributes:
        path: Where it is.
        median_seconds: Median of the times of its predictions.
        p95_seconds: What 95 % of these times did not exceed.
        memory: Bytes of memory that the model takes once it runs, pages of its file included; None where the
            system does not tell.
        nbytes: Size of all its files.
    """

    path: str
    median_seconds: float
    p95_seconds: float
    memory: int | None
    nbytes: int


@dataclass(frozen=True, slots=True)
class Bench:
    """What packages took, in the order they were given.

    Attributes:
        rounds: Predictions of each that were timed.
        rows: A row for each package.
    """

    rounds: int
    rows: tuple[BenchRow, ...]

    def to_dict(self) -> dict[str, Any]:
        """Returns everything as plain data."""
        return {"rounds": self.rounds, "models": [asdict(row) for row in self.rows]}

    def to_json(self, indent: int | None = 2) -> str:
        """Returns everything as JSON."""
        return json.dumps(self.to_dict(), indent=indent, allow_nan=False)


def bench(
    model: str | os.PathLike[str],
    against: str | os.PathLike[str] | None = None,
    *,
    rounds: int = 50,
    progress: Progress | None = None,
) -> Bench:
    """Times predictions of a package, or of two in turns, each in a process of its own.

    A time is that of one call of `MLModel.predict`, which converts inputs and outputs, too. PyTorch takes as
    many threads as it does by itself: ``OMP_NUM_THREADS`` in the environment sets their number. All
    predictions are of one sample of the default shapes, drawn as `verify` draws its first.

    Args:
        model: A ``.mlpackage``, or a ``.mlmodel`` that holds an mlprogram.
        against: Another one, of the same inputs and outputs.
        rounds: Predictions of each that are timed, after a few that are not.
        progress: Called as ``progress(done, rounds, name)`` after every few predictions.

    Raises:
        MlpressError: `rounds` is below 1; the models have different inputs or outputs; one cannot be run, or
            PyTorch is not installed.
        UnsupportedModelError: A program has operators that cannot be run; all are listed.
    """
    if rounds < 1:
        raise MlpressError(f"rounds is {rounds}; allowed: 1 or more")
    paths = [Path(path) for path in (model, against) if path is not None]
    sample = _sample([MLModel(path) for path in paths])
    with ExitStack() as stack:
        processes = [stack.enter_context(BenchProcess(path, sample)) for path in paths]
        memory = [process.start() for process in processes]
        seconds: list[list[float]] = [[] for _ in paths]
        for first in range(0, rounds, _TURN):
            count = min(_TURN, rounds - first)
            # In turns, so that what else the machine does disturbs both alike.
            for path, process, taken in zip(paths, processes, seconds, strict=True):
                taken += process.predict(count)
                if progress is not None:
                    progress(first + count, rounds, path.name)
    return Bench(rounds, tuple(map(_row, paths, seconds, memory)))


def _sample(models: Sequence[MLModel]) -> dict[str, Any]:
    """Returns one sample that all of `models`, one or two, take."""
    interfaces = [model.interface for model in models]
    check_interfaces(interfaces[0], interfaces[-1])
    bounds = common_bounds(model.program.functions[model.function_name or "main"] for model in models)
    return next(random_inputs(interfaces[0], interfaces[-1], bounds, count=1, seed=0))


def _row(path: Path, seconds: Sequence[float], memory: int | None) -> BenchRow:
    median, p95 = np.quantile(seconds, (0.5, 0.95)).tolist()
    return BenchRow(str(path), median, p95, memory, _size(path))


def _size(path: Path) -> int:
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files)
