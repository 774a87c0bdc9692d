"""The commands and their arguments."""

from __future__ import annotations

import typer

from mlpress.cli.bench import bench
from mlpress.cli.compress import compress
from mlpress.cli.convert import convert
from mlpress.cli.decompress import decompress
from mlpress.cli.diff import diff
from mlpress.cli.exits import HELP
from mlpress.cli.inspect import inspect
from mlpress.cli.predict import predict
from mlpress.cli.verify import verify
from mlpress.version import __version__

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # help as plain text comes up in half the time
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=HELP,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"mlpress {__version__}")
        raise typer.Exit


@app.callback()
def _mlpress(
    version: bool = typer.Option(
        False, "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
    ),
) -> None:
    """Make Core ML models small: look into, compress, decompress, compare and run .mlpackage files."""


app.command()(inspect)
app.command()(convert)
app.command()(compress)
app.command()(decompress)
app.command()(diff)
app.command()(predict)
app.command()(verify)
app.command()(bench)
