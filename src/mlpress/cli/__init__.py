"""The command line: `mlpress compress`, `verify` and the other commands of `app`.

Only the standard library and Typer are imported before a command runs, so that help appears at once.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from mlpress.cli.app import app
from mlpress.cli.exits import Exit
from mlpress.errors import MlpressError, StrictError


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line and ends the process with one of the codes of `Exit`.

    Args:
        arguments: What follows the program's name; the process's own arguments by default.

    Raises:
        SystemExit: Always.
    """
    try:
        app(args=None if arguments is None else list(arguments), prog_name="mlpress")
    except StrictError as error:
        _fail(str(error), Exit.STRICT)
    except MlpressError as error:
        _fail(_one_line(str(error)), Exit.FAILED)
    except OSError as error:
        _fail(_one_line(_said(error)), Exit.FAILED)


def _said(error: OSError) -> str:
    if error.strerror is None:
        return str(error)
    return error.strerror if error.filename is None else f"{error.filename}: {error.strerror}"


def _one_line(message: str) -> str:
    return " ".join(message.split())


def _fail(message: str, code: Exit) -> None:
    sys.stderr.write(f"mlpress: {message}\n")
    sys.exit(code)
