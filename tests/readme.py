"""The examples of the README. A comment before one says that it runs models, which takes torch."""

from __future__ import annotations

import re
from pathlib import Path

_README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
_BLOCK = re.compile(r"^(<!-- torch -->\n)?```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(language: str, *, torch: bool = False) -> list[str]:
    """Returns the fenced blocks of a language; those that need torch, or the others."""
    return [body for mark, name, body in _BLOCK.findall(_README) if (name, bool(mark)) == (language, torch)]


def commands(*, torch: bool = False) -> list[str]:
    """Returns the command lines of mlpress."""
    lines = "\n".join(blocks("", torch=torch)).splitlines()
    return [line for line in lines if line.startswith("mlpress ")]
