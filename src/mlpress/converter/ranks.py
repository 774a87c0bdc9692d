"""The number of axes that a finished program's tensors have."""

from __future__ import annotations

from collections.abc import Iterator

from torch import fx

from mlpress.converter.capture import Captured
from mlpress.converter.capture.source import source_of
from mlpress.converter.passes.rank import MAX_RANK
from mlpress.converter.passes.wide_site import is_wide
from mlpress.errors import UnsupportedModelError
from mlpress.mil import Function, Operation, TensorType, Value


def check_ranks(function: Function, captured: Captured) -> None:
    """Checks that no tensor has more axes than Core ML's have.

    Raises:
        UnsupportedModelError: Some have; all are listed, with the operation that makes them, their shape, and
            the place in the user's code.
    """
    found = list(_wide(function, {node.name: node for node in captured.graph.nodes}))
    if not found:
        return
    # A reshape is there for what follows it or stands before it.
    shown = dict.fromkeys(text for kind, text in found if kind != "reshape") or dict(found).values()
    listed = "\n".join(f"- {text}" for text in shown)
    raise UnsupportedModelError(
        f"Core ML's tensors have at most {MAX_RANK} axes; these have more, and none that can be merged:\n"
        f"{listed}"
    )


def _wide(function: Function, nodes: dict[str, fx.Node]) -> Iterator[tuple[str, str]]:
    """Yields what makes a wide tensor, and a text about it."""
    outputs = set(function.block.outputs)
    for value in function.inputs:
        if is_wide(value):
            yield "input", f"input {value.name!r} of {_shape(value)}"
    for node in function.block.walk():
        if not isinstance(node, Operation):
            continue
        for value in filter(is_wide, node.outputs):
            if value in outputs:
                yield "output", f"output {value.name!r} of {_shape(value)}"
            else:
                yield node.type, f"{node.type} makes {_shape(value)}{_place(value.name, nodes)}"


def _shape(value: Value) -> str:
    assert isinstance(value.type, TensorType)
    return f"rank {len(value.type.shape)}, shape {value.type.shape}"


def _place(name: str, nodes: dict[str, fx.Node]) -> str:
    """Returns where the node stands in the user's code that a value is named after."""
    while name and name not in nodes:
        name = name.rpartition("_")[0]
    return f", in {source_of(nodes[name])}" if name else ""
