"""Finding what cannot be run in a TorchScript graph before any of it runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mlpress.converter.capture.errors import CaptureError
from mlpress.converter.capture.torchscript.numbers import FUNCTIONS
from mlpress.converter.capture.torchscript.operators import find
from mlpress.converter.capture.torchscript.places import place_of
from mlpress.converter.capture.torchscript.primitives import PRIMITIVES

_STRUCTURE = frozenset({"prim::GetAttr", "prim::SetAttr", "prim::If", "prim::Loop"})


def check(graph: Any) -> None:
    """Looks for nodes that are neither operators that Python has nor known otherwise.

    Raises:
        CaptureError: There are some; the message names each with its place.
    """
    unknown = {f"{node.kind()} in {place_of(node)}": None for node in _nodes(graph) if not _is_known(node)}
    if unknown:
        raise CaptureError(
            "the TorchScript graph has operators that cannot be captured: " + "; ".join(unknown)
        )


def _is_known(node: Any) -> bool:
    kind = node.kind()
    return kind in _STRUCTURE or kind in PRIMITIVES or kind in FUNCTIONS or find(node.schema()) is not None


def _nodes(block: Any) -> Iterator[Any]:
    for node in block.nodes():
        yield node
        for inner in node.blocks():
            yield from _nodes(inner)
