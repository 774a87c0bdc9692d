"""One job in a process of its own: ``python -m benchmarks.child LIBRARY JOB SOURCE DESTINATION TINY``.

JOB is a pickled job in hexadecimal. Prints ``ready`` once all code is loaded, waits for a line, does the
job and prints its times as JSON, so that the parent can watch the memory of the job alone.
"""

from __future__ import annotations

import json
import os
import pickle
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

from benchmarks.jobs import Job, Library, run


def main() -> None:
    """Does the job that the arguments describe."""
    library, text, source, destination, tiny = sys.argv[1:]
    job: Job = pickle.loads(bytes.fromhex(text))
    # Both libraries report on standard output, which here belongs to the parent.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    with TemporaryDirectory() as folder:
        run(cast(Library, library), job, Path(tiny), Path(folder, "tiny.mlpackage"))
    print("ready", file=answers, flush=True)
    sys.stdin.readline()
    wall, cpu = time.perf_counter(), time.process_time()
    compression = run(cast(Library, library), job, Path(source), Path(destination))
    times = {
        "wall": time.perf_counter() - wall,
        "cpu": time.process_time() - cpu,
        "compression": compression,
    }
    print(json.dumps(times), file=answers, flush=True)


if __name__ == "__main__":
    main()
