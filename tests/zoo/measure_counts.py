"""Counts the operations of the zoo's programs for the record in `counts`.

``python -m tests.zoo.measure_counts`` measures each network that is not recorded. coremltools works in a
process of its own for each, so that a crash or a hang costs no more than that network. It takes most of an
hour for all.
With ``mlpress`` as argument, it counts mlpress's operations of all networks again.
"""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import import_module
from typing import Any

from tests.zoo.counts import ROUTES, Counts, recorded, write
from tests.zoo.torchvision_operators import provide_operators

_SECONDS = 480
"""How long coremltools may take for a network, by both routes."""


def main(arguments: list[str]) -> None:
    """Measures what is missing, or mlpress's part again; or writes coremltools' counts of one network."""
    provide_operators()
    counting: Any = import_module("tests.zoo.counting")
    zoo: Any = import_module("tests.zoo.networks").ZOO
    if arguments and arguments[0] in zoo:
        for route in ROUTES:
            sys.stdout.write(f"{json.dumps({route: counting.peers(arguments[0], route)})}\n")
            sys.stdout.flush()
        return
    record = recorded()
    for name in zoo:
        if name not in record or arguments == ["mlpress"]:
            peers = record[name] if name in record else _peers_apart(name)
            record[name] = {
                route: {**peers[route], "mlpress": counting.ours(name, route)} for route in ROUTES
            }
            write({known: record[known] for known in zoo if known in record})


def _peers_apart(name: str) -> dict[str, Counts]:
    """Has a network converted by coremltools in another process."""
    command = [sys.executable, "-m", "tests.zoo.measure_counts", name]
    try:
        run = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=_SECONDS, check=False)
        output, end = run.stdout, f"the process ends with status {run.returncode}"
    except subprocess.TimeoutExpired as late:
        output, end = (late.stdout or b"").decode(), f"takes longer than {_SECONDS} s"
    found: dict[str, Counts] = {}
    for line in output.splitlines():
        found |= json.loads(line) if line.startswith("{") else {}
    return {route: found.get(route, {"fails": end}) for route in ROUTES}


if __name__ == "__main__":
    main(sys.argv[1:])
