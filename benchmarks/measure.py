"""Runs jobs in fresh processes and takes their time and memory."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from threading import Event, Thread

from benchmarks.jobs import Job, Library

_INTERVAL = 0.002


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a job.

    Attributes:
        wall: Seconds from start to end.
        cpu: Seconds of processor time of all its threads.
        memory: Most bytes of private memory during the job above what the loaded interpreter had before it;
            mapped files are not counted. None where the system does not tell.
        compression: Seconds of `wall` between loading and saving; None for jobs that do something else.
    """

    wall: float
    cpu: float
    memory: int | None
    compression: float | None = None


@dataclass(frozen=True, slots=True)
class Runs:
    """Several runs of a job."""

    runs: tuple[Run, ...]

    @property
    def wall(self) -> float:
        """Median seconds."""
        return median(run.wall for run in self.runs)

    @property
    def cpu(self) -> float:
        """Median seconds of processor time."""
        return median(run.cpu for run in self.runs)

    @property
    def compression(self) -> float:
        """Median seconds between loading and saving, of jobs that compress."""
        return median(run.compression for run in self.runs if run.compression is not None)

    @property
    def memory(self) -> int | None:
        """Median of the peaks, bytes."""
        known = [run.memory for run in self.runs if run.memory is not None]
        return int(median(known)) if known else None


def run_once(library: Library, job: Job, source: Path, destination: Path, tiny: Path) -> Run:
    """Does a job in a fresh process; see `run_child`."""
    arguments = (library, pickle.dumps(job).hex(), str(source), str(destination), str(tiny))
    return run_child("benchmarks.child", arguments, f"{job.name} with {library}")


def run_child(module: str, arguments: Sequence[str], name: str) -> Run:
    """Runs a module in a fresh process, with one thread for whatever uses OpenMP or BLAS.

    Args:
        module: It prints a line once all code is loaded, waits for one, works, and prints its times as JSON.
        arguments: What it is given.
        name: What it does, for errors.

    Raises:
        RuntimeError: It failed; the message ends with what it wrote.
    """
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    with tempfile.TemporaryFile("w+") as errors:
        child = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=environment,
        )
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdout.readline()
        with _Watch(child.pid) as watch:
            answer = child.communicate("\n")[0]
        if child.returncode:
            errors.seek(0)
            raise RuntimeError(f"{name} failed:\n{errors.read()[-2000:]}")
    return Run(**json.loads(answer), memory=watch.above)


class _Watch:
    """Samples the private memory of a process while open."""

    def __init__(self, pid: int) -> None:
        self._status = Path("/proc", str(pid), "status")
        self._stop = Event()
        self._thread = Thread(target=self._sample)
        self._first = self._most = self._read()

    def __enter__(self) -> _Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def above(self) -> int | None:
        """Most bytes seen above the first sample."""
        return None if self._first is None or self._most is None else self._most - self._first

    def _sample(self) -> None:
        while not self._stop.is_set():
            now = self._read()
            if now is not None and self._most is not None:
                self._most = max(self._most, now)
            time.sleep(_INTERVAL)

    def _read(self) -> int | None:
        try:
            lines = self._status.read_text().splitlines()
        except OSError:
            return None
        return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon:")), None)
