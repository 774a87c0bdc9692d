"""Running a composite operator on fake tensors and writing down, as nodes, the operators that it calls."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import fx
from torch._ops import OpOverload
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from mlpress.converter.capture.decompositions import Decompositions
from mlpress.converter.capture.symbols import Symbols


class Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Writes a node into a graph for every operator that runs meanwhile and is not to be taken apart.

    Attributes:
        changes: Whether one of them changes a tensor in place.
    """

    def __init__(self, graph: fx.Graph, rules: Decompositions, symbols: Symbols, like: fx.Node) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._graph = graph
        self._rules = rules
        self._symbols = symbols
        self._like = like
        self._nodes: dict[int, fx.Node] = {}
        self._alive: list[torch.Tensor] = []
        self._written: list[fx.Node] = []
        self.changes = False

    def know(self, value: torch.Tensor, node: fx.Node) -> None:
        """Says which node stands for a tensor."""
        self._nodes[id(value)] = node
        # An id may be used again once its tensor is gone.
        self._alive.append(value)

    def node_of(self, value: Any) -> Any:
        """The node that stands for a tensor or a symbolic number; other values stand for themselves.

        Raises:
            KeyError: No node stands for this tensor.
        """
        if isinstance(value, torch.Tensor):
            return self._nodes[id(value)]
        if isinstance(value, torch.SymInt | torch.SymFloat | torch.SymBool):
            return self._symbols.node(value)
        return value

    def erase(self) -> None:
        """Takes the nodes out again."""
        for node in reversed(self._written):
            self._graph.erase_node(node)

    def __torch_dispatch__(
        self,
        func: OpOverload[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if (rule := self._rules.rule(func)) is not None:
            with self:
                result = rule(*args, **kwargs)
            if result is not NotImplemented:
                return result
        result = func(*args, **kwargs)
        self._record(func, args, kwargs, result)
        return result

    def _record(self, func: OpOverload[..., Any], args: Any, kwargs: Any, result: Any) -> None:
        args, kwargs = pytree.tree_map(self.node_of, (args, dict(kwargs)))
        node = self._graph.create_node("call_function", func, args, kwargs, stem(func))
        inherit(node, self._like, result)
        self._written.append(node)
        self.changes |= func._schema.is_mutable
        if isinstance(result, torch.Tensor):
            self.know(result, node)
        elif isinstance(result, tuple | list):
            for position, part in enumerate(result):
                if isinstance(part, torch.Tensor):
                    item = self._graph.call_function(operator.getitem, (node, position))
                    inherit(item, self._like, part)
                    self._written.append(item)
                    self.know(part, item)


def inherit(node: fx.Node, like: fx.Node, value: Any) -> None:
    """Gives a new node a value, and for the rest what the node that it comes from knows."""
    kept = ("nn_module_stack", "stack_trace", "custom")
    node.meta.update({key: like.meta[key] for key in kept if key in like.meta})
    node.meta["val"] = value


def stem(op: OpOverload[..., Any]) -> str:
    """The name that torch gives to nodes of an operator."""
    return op._schema.name.rpartition("::")[2]
