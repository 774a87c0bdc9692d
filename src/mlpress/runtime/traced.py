"""What surrounds an operation of a graph that torch has traced for inference."""

from __future__ import annotations

import operator
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, fx

_ADDITIONS: Final = (torch.add, operator.add)


@dataclass(frozen=True, slots=True)
class Sum:
    """What is done with the result of a convolution or a product before anything else.

    Attributes:
        nodes: The operation, and the addition and ReLU if they follow; the last one holds what comes of it.
        residual: What is added, or None.
        relu: Whether what is negative becomes zero.
    """

    nodes: tuple[fx.Node, ...]
    residual: fx.Node | None
    relu: bool

    @property
    def last(self) -> fx.Node:
        """The node that holds what comes of it."""
        return self.nodes[-1]


def sum_of(node: fx.Node) -> Sum:
    """Returns what is done with the result of `node`, a convolution or a product."""
    nodes, residual = [node], None
    addition = _only_use(node, _ADDITIONS)
    if addition is not None:
        others = [x for x in addition.all_input_nodes if x is not node]
        if others and shape_of(others[0]) == shape_of(node) is not None:
            nodes.append(addition)
            residual = others[0]
    relu = _only_use(nodes[-1], (torch.relu,))
    return Sum((*nodes, relu) if relu else tuple(nodes), residual, relu is not None)


def _only_use(node: fx.Node, targets: Collection[Any]) -> fx.Node | None:
    """Returns the only node that uses `node`, if it calls one of `targets` and has no options."""
    users = list(node.users)
    return users[0] if len(users) == 1 and users[0].target in targets and not users[0].kwargs else None


def shape_of(node: fx.Node) -> tuple[int, ...] | None:
    """Returns the shape of the tensor that `node` holds, or None if it holds none or a size is symbolic."""
    value = node.meta.get("example_value")
    if not isinstance(value, Tensor) or not all(isinstance(size, int) for size in value.shape):
        return None
    return tuple(value.shape)


def constant_of(module: fx.GraphModule, x: Any) -> Tensor | None:
    """Returns the tensor that `x` reads from `module`, or None if it does something else."""
    if not isinstance(x, fx.Node) or x.op != "get_attr":
        return None
    found = operator.attrgetter(str(x.target))(module)
    return found if isinstance(found, Tensor) else None


def replace(graph: fx.Graph, done: Sum, new: fx.Node) -> None:
    """Lets `new` take the place of all nodes of `done`."""
    new.meta["example_value"] = done.last.meta["example_value"]
    done.last.replace_all_uses_with(new)
    for old in reversed(done.nodes):
        graph.erase_node(old)
