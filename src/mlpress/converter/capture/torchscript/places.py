"""Where in a user's code a node of a TorchScript graph comes from."""

from __future__ import annotations

import re
from typing import Any

from mlpress.converter.capture.source import Source, is_torch

_TRACED = re.compile(r"^(?P<file>\S.*)\((?P<line>\d+)\): ", re.MULTILINE)
_SCRIPTED = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+)')


def place_of(node: Any) -> Source:
    """Module path and line of a `torch._C.Node`, as far as it has kept them."""
    return Source(module=_module(node), location=_location(node.sourceRange()), code="")


def _module(node: Any) -> str:
    scope = node.scopeName().rpartition("/")[2]
    return scope.removeprefix("__module").removeprefix(".") if scope.startswith("__module") else ""


def _location(text: str) -> str:
    # A trace lists the innermost frame first, a script the outermost.
    frames = [*_TRACED.finditer(text)] or [*_SCRIPTED.finditer(text)][::-1]
    places = [(frame["file"], frame["line"]) for frame in frames]
    outside = [
        place for place in places if not is_torch(place[0]) and not place[0].startswith("code/__torch__")
    ]
    file, line = (outside or places or [("", "")])[0]
    return f"{file}:{line}" if file else ""
