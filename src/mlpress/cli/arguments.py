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
Json = Annotated[bool, typer.Option("--json", help="Print JSON on standard output instead of text.")]


def require_writable(output: Path) -> None:
    """Fails before any work is done if `output` cannot be a package.

    Raises:
        InvalidPackageError: It is something else that has to stay, or its directory is missing.
    """
    from mlpress.package.saving import check_destination

    if output.suffix:
        check_destination(output)
