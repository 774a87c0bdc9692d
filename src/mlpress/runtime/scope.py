"""Which outer values a nested block uses."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from mlpress.mil import Block, Operation, Value


def free_values(blocks: Sequence[Block], known: Collection[Value]) -> list[Value]:
    """Returns what `blocks` use and neither define nor find among `known`, in order of first use."""
    found: dict[Value, None] = {}
    for block in blocks:
        _collect(block, set(known), found)
    return list(found)


def _collect(block: Block, defined: set[Value], found: dict[Value, None]) -> None:
    defined |= set(block.inputs)
    for node in block.operations:
        if isinstance(node, Operation):
            for _, operand in node.operands():
                if isinstance(operand, Value) and operand not in defined:
                    found.setdefault(operand)
            for nested in node.blocks:
                _collect(nested, set(defined), found)
        defined |= set(node.outputs)
    for value in block.outputs:
        if value not in defined:
            found.setdefault(value)
