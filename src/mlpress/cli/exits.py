"""What the exit code of the command line means."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes; the README and `mlpress --help` list them too."""

    OK = 0
    FAILED = 1
    USAGE = 2
    STRICT = 3
    BELOW = 4
    INTERRUPTED = 130


HELP = """\b
Exit codes:
  0    done
  1    failed: standard error says why; OUT is as it was
  2    the arguments are wrong
  3    --strict was given and a weight could not be compressed as asked
  4    --min-snr was given and an output is below it
  130  interrupted
"""
