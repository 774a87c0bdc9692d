"""A process of its own for a package whose predictions are timed: its memory is that of one model."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from mlpress.errors import MlpressError
from mlpress.models import MLModel

_WARMING: Final = 3
"""Predictions that are not counted: the first ones make buffers and fill caches."""

_CALM: Final = 0.05
"""Seconds until threads of the process that predicted before no longer wait busily for more work."""

_STATUS: Final = Path("/proc/self/status")


class BenchProcess:
    """Predicts with one package for one sample, when it is asked to."""

    def __init__(self, path: Path, sample: Mapping[str, Any]) -> None:
        """Prepares a process, which opens the package at `path` once it is entered."""
        self._path = path
        context = get_context("spawn")  # a fork would share the memory that is to be measured
        self._pipe, self._theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(self._theirs, path, sample), daemon=True)

    def __enter__(self) -> BenchProcess:
        self._process.start()
        self._theirs.close()  # so that reading fails once the process has ended
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.join()
        self._pipe.close()

    def start(self) -> int | None:
        """Waits until the model runs and returns what memory it takes.

        Returns:
            Bytes that the process has in memory, after a few predictions, above what it had before it opened
            the package; weights used as they lie in the file count, too. None where the system does not tell.

        Raises:
            MlpressError: The model cannot be run, or its process ended.
        """
        memory: int | None = self._answer()
        return memory

    def predict(self, times: int) -> list[float]:
        """Predicts some times, after once that does not count, and returns the seconds that each took.

        Raises:
            MlpressError: A prediction failed, or the process ended.
        """
        with suppress(OSError):  # that the process has ended shows in the answer
            self._pipe.send(times)
        seconds: list[float] = self._answer()
        return seconds

    def _answer(self) -> Any:
        try:
            answer = self._pipe.recv()
        except (EOFError, OSError):
            self._process.join()
            raise MlpressError(
                f"the process that ran {self._path} ended with code {self._process.exitcode}; "
                f"it may have run out of memory"
            ) from None
        if isinstance(answer, MlpressError):
            raise answer
        return answer


def _serve(pipe: Connection, path: Path, sample: Mapping[str, Any]) -> None:
    """What the process does: tells the memory that the model takes, then predicts for each message."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who asks is interrupted, too, and ends this process
    try:
        predict, memory = _started(path, sample)
        pipe.send(memory)
        while True:
            times = pipe.recv()
            time.sleep(_CALM)
            predict()
            pipe.send([_seconds(predict) for _ in range(times)])
    except EOFError:  # who asked is gone
        return
    except Exception as error:  # whatever it is, it belongs to the one who asks
        pipe.send(error if isinstance(error, MlpressError) else MlpressError(f"{path}: {error!r}"))


def _started(path: Path, sample: Mapping[str, Any]) -> tuple[Callable[[], Any], int | None]:
    """Returns what predicts, and the memory that it has taken by now."""
    with suppress(ModuleNotFoundError):  # without torch, the first prediction says what is missing
        import mlpress.runtime  # noqa: F401  code is no memory of the model
    before = _resident_memory()
    model = MLModel(path)
    state = model.make_state() if model.interface.states else None

    def predict() -> Any:
        return model.predict(sample, state)

    for _ in range(_WARMING):
        predict()
    after = _resident_memory()
    return predict, None if before is None or after is None else max(0, after - before)


def _seconds(predict: Callable[[], Any]) -> float:
    start = time.perf_counter()
    predict()
    return time.perf_counter() - start


def _resident_memory() -> int | None:
    """Returns the bytes of this process that are in memory; None where the system has no such file."""
    if not _STATUS.exists():
        return None
    lines = _STATUS.read_text().splitlines()
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:")), None)
