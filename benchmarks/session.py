"""One run of the benchmark: models are built, jobs are run, results are kept for those that look at them."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import quality
from benchmarks.jobs import Job, Library
from benchmarks.measure import Run, Runs, run_once

Entrant = tuple[Library, Job]


@dataclass(frozen=True, slots=True)
class Session:
    """Runs jobs on models; a job of which only the result counts is run once.

    Attributes:
        folder: Where models and results are kept.
        pairs: How often a job that is timed is done.
        patience: A job that took longer than this many seconds is not done again.
    """

    folder: Path
    pairs: int = 5
    patience: float = 10
    _done: set[Path] = field(default_factory=set)

    def model(self, name: str) -> Path:
        """Returns the package of a model, which is built if it isn't there."""
        path = self.folder / f"{name}.mlpackage"
        if not path.exists():
            subprocess.run([sys.executable, "-m", "benchmarks.models", name, str(path)], check=True)
        return path

    def paired(self, model: str, job: Job) -> tuple[Runs, Runs]:
        """Lets mlpress and coremltools do a job in turns."""
        return self._in_turns(model, ("mlpress", job), ("coremltools", job))

    def paired_workers(self, model: str, one: Job, two: Job) -> tuple[Runs, Runs]:
        """Lets mlpress do two jobs in turns."""
        return self._in_turns(model, ("mlpress", one), ("mlpress", two))

    def errors(
        self, model: str, library: Library, job: Job, reference: Job | None = None
    ) -> dict[quality.Key, quality.Error]:
        """Returns the errors of a job's result by weight, doing the job if it has not been done.

        They are taken against the model, or against mlpress' result of the job `reference`.
        """
        original = self._done_once(model, "mlpress", reference) if reference else self.model(model)
        return quality.errors(original, self._done_once(model, library, job))

    def _in_turns(self, model: str, first: Entrant, second: Entrant) -> tuple[Runs, Runs]:
        runs: tuple[list[Run], list[Run]] = ([], [])
        for _ in range(self.pairs):
            for (library, job), done in zip((first, second), runs, strict=True):
                if not any(run.wall > self.patience for run in done):
                    done.append(self._run(model, library, job))
        return Runs(tuple(runs[0])), Runs(tuple(runs[1]))

    def _run(self, model: str, library: Library, job: Job) -> Run:
        source = self._done_once(model, library, job.after) if job.after else self.model(model)
        result = self._result(model, library, job)
        run = run_once(library, job, source, result, self.model("tiny"))
        self._done.add(result)
        print(f"{model}: {job.name} with {library}: {run.wall:.2f} s", flush=True)
        return run

    def _done_once(self, model: str, library: Library, job: Job) -> Path:
        """Returns the result of a job, doing it if it has not been done."""
        result = self._result(model, library, job)
        if result not in self._done:
            self._run(model, library, job)
        return result

    def _result(self, model: str, library: Library, job: Job) -> Path:
        return self.folder / f"{model}-{job.name}-{library}.mlpackage"
