"""Walks a graph and calls the lowering of each node."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import fx

from mlpress.converter.capture.source import source_of
from mlpress.converter.lowering import registry
from mlpress.converter.lowering.check import needs_lowering
from mlpress.converter.lowering.context import Context
from mlpress.converter.lowering.errors import LoweringError
from mlpress.errors import MlpressError
from mlpress.mil import Value


class GraphLowering:
    """Lowers one graph into the block of a context.

    Attributes:
        results: What the graph returns, once `run` is through.
    """

    def __init__(
        self,
        context: Context,
        module: fx.GraphModule,
        constant: Callable[[str], Value | None],
        inputs: Sequence[Any],
    ) -> None:
        """Prepares for a walk.

        Args:
            context: Where operations go.
            module: Has the graph.
            constant: Returns what a `get_attr` node stands for; None if it is a module.
            inputs: What the placeholders stand for, in their order.
        """
        self._context = context
        self._module = module
        self._constant = constant
        self._inputs = iter(inputs)
        self._made: dict[fx.Node, Any] = {}
        self.results: tuple[Any, ...] = ()

    def run(self) -> None:
        """Lowers all nodes.

        Raises:
            LoweringError: A node cannot be expressed; the message says where it comes from.
        """
        for node in self._module.graph.nodes:
            if node.op == "output":
                returned = node.args[0]
                several = returned if isinstance(returned, tuple | list) else (returned,)
                self.results = tuple(self._resolve(item) for item in several)
            elif node.op == "placeholder":
                self._keep(node, next(self._inputs))
            elif node.op == "get_attr":
                found = self._constant(str(node.target))
                self._made[node] = operator.attrgetter(node.target)(self._module) if found is None else found
            else:
                self._keep(node, self._called(node))

    def _called(self, node: fx.Node) -> Any:
        if node.target is operator.getitem:
            source, index = node.args
            return self._made[source][index]  # type: ignore[index]  # a node, by the form of the graph
        if not needs_lowering(node):
            return node.meta.get("val")
        lowering = registry.find(registry.name_of(node.target))
        assert lowering is not None  # check_supported has looked
        self._context.node = node
        try:
            positional, keywords = registry.bind(node, lowering, self._resolve)
            return lowering.function(self._context, *positional, **keywords)
        except MlpressError as error:
            raise LoweringError(f"{node.target} in {source_of(node)}: {error}") from error

    def _keep(self, node: fx.Node, value: Any) -> None:
        self._made[node] = value
        fake = node.meta.get("val")
        if isinstance(value, Value) and isinstance(fake, torch.Tensor):
            self._context.sizes.learn(value, tuple(fake.shape))
        elif isinstance(value, Value) and isinstance(fake, torch.SymInt | torch.SymFloat):
            self._context.sizes.learn_number(fake, self._context.expand_dims(value, [0]))
            self._made[node] = fake

    def _resolve(self, argument: Any) -> Any:
        if isinstance(argument, fx.Node):
            return self._made[argument]
        if isinstance(argument, list | tuple):
            return [self._resolve(item) for item in argument]
        return argument
