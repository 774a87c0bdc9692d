"""Arguments that commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Model = Annotated[
    Path, typer.Argument(metavar="MODEL", help="A .mlpackage, or a .mlmodel that holds an mlprogram.")
]
Output = Annotated[
    Path,
    typer.Option(
        "--output", "-o", metavar="OUT", help="Package to write; one that is there is replaced at the end."
    ),
]
Function = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Function of a model that has several; its default one if not given."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on standard output instead of text.")]


def require_writable(output: Path) -> None:
    """Fails before any work is done if `output` cannot be a package.

    Raises:
        InvalidPackageError: It is something else that has to stay, or its directory is missing.
    """
    from mlpress.package.saving import check_destination

    # Saving adds the suffix where there is none.
    check_destination(output if output.suffix else output.with_suffix(".mlpackage"))


def require_parent(file: Path) -> None:
    """Fails before any work is done if there is no directory for `file`.

    Raises:
        InvalidPackageError: The directory is missing, or `file` is a directory.
    """
    from mlpress.errors import InvalidPackageError

    if file.is_dir() or not file.resolve().parent.is_dir():
        raise InvalidPackageError(f"{file} can't be written: it is a directory, or its directory is missing")
