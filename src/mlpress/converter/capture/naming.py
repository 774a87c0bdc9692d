"""Names of inputs and outputs."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from itertools import dropwhile
from typing import Any

from torch.export import ExportedProgram
from torch.utils import _pytree as pytree


def input_names(program: ExportedProgram, count: int) -> list[str]:
    """For each leaf of what `forward` takes, its argument and the keys into it; "" where not known."""
    signature = program.module_call_graph[0].signature
    arguments = signature.forward_arg_names if signature is not None else None
    paths = _paths(program.call_spec.in_spec)
    if len(paths) != count:
        return [""] * count
    return [_argument_name(path, arguments or []) for path in paths]


def output_names(program: ExportedProgram, count: int) -> Iterator[str]:
    """For each leaf of what `forward` returns, the keys that lead to it; "" where only positions do.

    Positions before the first key are left out: names should not begin with a digit.
    """
    paths = _paths(program.call_spec.out_spec)
    keys = [dropwhile(lambda key: isinstance(key, pytree.SequenceKey), path) for path in paths]
    return iter([joined(list(path)) for path in keys] if len(paths) == count else [""] * count)


def joined(path: Sequence[Any]) -> str:
    """The keys of a path joined by ``_``."""
    return "_".join(str(_key(entry)) for entry in path)


def unique(name: str, taken: Container[str]) -> str:
    """`name`, with a number behind it if it is taken."""
    candidate, number = name, 1
    while candidate in taken:
        candidate, number = f"{name}_{number}", number + 1
    return candidate


def _paths(spec: pytree.TreeSpec | None) -> list[Sequence[Any]]:
    if spec is None:
        return []
    tree = pytree.tree_unflatten(range(spec.num_leaves), spec)
    return [path for path, _ in pytree.tree_flatten_with_path(tree)[0]]


def _argument_name(path: Sequence[Any], arguments: Sequence[str]) -> str:
    """Name for a path that begins with 0 and a position, or with 1 and a keyword."""
    kind, first, *rest = path
    if kind.idx == 1:
        return joined((first, *rest))
    if first.idx >= len(arguments):
        return ""
    return "_".join([arguments[first.idx], *([joined(rest)] if rest else [])])


def _key(entry: Any) -> object:
    if isinstance(entry, pytree.MappingKey):
        return entry.key
    return entry.name if isinstance(entry, pytree.GetAttrKey) else entry.idx
