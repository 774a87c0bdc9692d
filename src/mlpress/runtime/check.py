"""Finds what a function uses and nobody can run, before anything runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from mlpress import ops
from mlpress.errors import UnsupportedModelError
from mlpress.mil import Block, Function, Operation, Opset

STRUCTURAL: Final = ("classify", "cond", "read_state", "while_loop", "write_state")
"""Ops that are about the structure of a program, which `build` handles itself."""


def check_supported(name: str, function: Function) -> None:
    """Checks that every operation of `function`, called `name`, can be run.

    Raises:
        UnsupportedModelError: Some cannot; the message lists all of them and where they occur.
    """
    problems = list(_problems(function.block, function.opset, name))
    if problems:
        listed = "\n  ".join(problems)
        raise UnsupportedModelError(f"{len(problems)} operations of the program cannot be run:\n  {listed}")


def _problems(block: Block, opset: Opset, where: str) -> Iterator[str]:
    for node in block.operations:
        if not isinstance(node, Operation):
            continue
        problem = None if node.type in STRUCTURAL else _problem(node, opset)
        if problem is not None:
            yield f"{node.type} {node.name!r} in {where}: {problem}"
        for index, nested in enumerate(node.blocks):
            yield from _problems(nested, opset, f"{where}/{node.name}[{index}]")


def _problem(operation: Operation, opset: Opset) -> str | None:
    version = ops.lookup(operation.type, opset)
    if version is None:
        known = ops.versions(operation.type)
        return f"needs {known[0].opset.target}, the function is for {opset.target}" if known else "unknown op"
    parameters = version.signature.parameters
    unknown = [name for name in operation.inputs if name not in parameters]
    if unknown:
        return f"unknown parameters {unknown} for {opset.target}"
    missing = [
        name for name, known in parameters.items() if not known.optional and name not in operation.inputs
    ]
    return f"lacks the parameters {missing}" if missing else None
