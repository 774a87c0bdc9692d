"""How results look: tables for people, JSON for machines."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any, Literal

import typer

Column = tuple[str, Literal["left", "right"]]

# Wide enough for any row: lines are never folded in a pipe.
_PIPE_WIDTH = 1000


def emit(text: str) -> None:
    """Prints a line or more on standard output; a reader that has left, such as `head`, is no failure."""
    try:
        typer.echo(text)
        sys.stdout.flush()
    except BrokenPipeError:
        # What is printed from here on, and the flush at exit, must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def print_table(columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> None:
    """Prints a table on standard output, fitted to the terminal if there is one."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    if not console.is_terminal:
        console = Console(width=_PIPE_WIDTH)
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for title, side in columns:
        table.add_column(title, justify=side, overflow="fold", no_wrap=side == "right")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))  # not as markup: a name may hold brackets
    with console.capture() as capture:
        console.print(table)
    emit("\n".join(line.rstrip() for line in capture.get().strip("\n").splitlines()))


def print_json(data: Any) -> None:
    """Prints `data` as JSON on standard output."""
    emit(json.dumps(data, indent=2, allow_nan=False))


def shape(sizes: Sequence[int]) -> str:
    """``64x32x3x3``; ``scalar`` for no axes."""
    return "x".join(map(str, sizes)) or "scalar"


def count(number: int) -> str:
    """``1,234,567``."""
    return f"{number:,}"
