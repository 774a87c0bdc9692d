"""Running a TorchScript graph node by node, in Python."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.fx.traceback import annotate, preserve_node_meta

from mlpress.converter.capture.exporting import explain
from mlpress.converter.capture.source import ANNOTATION
from mlpress.converter.capture.torchscript.control import run_if, run_loop
from mlpress.converter.capture.torchscript.evaluation import counts_batches, in_evaluation
from mlpress.converter.capture.torchscript.operators import call
from mlpress.converter.capture.torchscript.places import place_of
from mlpress.converter.capture.torchscript.primitives import PRIMITIVES, Node

Scope = dict[str, Any]
"""Values by the names that a graph has for them."""


class Interpreter:
    """Runs a graph on the tensors of a module.

    Buffers that a script assigns get their new values at the end: what was read before keeps the old ones.
    """

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        self._assigned: dict[tuple[nn.Module, str], Any] = {}
        self._paths = {part: path for path, part in module.named_modules()}
        self._owners: dict[str, str] = {}

    def run(self, graph: Any, args: Sequence[Any]) -> Any:
        """Runs a whole graph, whose first input is the module.

        Raises:
            CaptureError: The graph raises an error, or depends on data in a way that cannot be captured.
        """
        with preserve_node_meta():
            results = self.run_block(graph, (self._module, *args), {})
        for (owner, name), value in self._assigned.items():
            if isinstance(value, torch.Tensor) and name in owner._buffers:
                getattr(owner, name).copy_(value)
        return results[0] if len(results) == 1 else tuple(results)

    def run_block(self, block: Any, args: Sequence[Any], scope: Scope) -> list[Any]:
        """Runs a block, or a graph, and gives its results; what it defines goes into `scope`."""
        scope.update((value.debugName(), given) for value, given in zip(block.inputs(), args, strict=True))
        for node in block.nodes():
            self._run_node(node, scope)
        return [scope[value.debugName()] for value in block.outputs()]

    def _run_node(self, node: Node, scope: Scope) -> None:
        names = [value.debugName() for value in node.outputs()]
        if names and all(name in scope for name in names) and node.kind() == "prim::GetAttr":
            return  # given from outside of a branch
        kind = node.kind()
        if kind == "prim::If":
            results: Any = run_if(self, node, scope)
        elif kind == "prim::Loop":
            results = run_loop(self, node, scope)
        else:
            args = [scope[value.debugName()] for value in node.inputs()]
            results = self._run_plain(node, kind, args)
            results = (results,) if len(names) == 1 else results
        scope.update(zip(names, results if names else (), strict=True))

    def _run_plain(self, node: Node, kind: str, args: list[Any]) -> Any:
        if kind == "prim::GetAttr":
            self._owners[node.output().debugName()] = self._paths.get(args[0], "")
            return self._get(args[0], node.s("name"))
        if kind == "prim::SetAttr":
            self._assigned[args[0], node.s("name")] = args[1]
            return None
        if (prim := PRIMITIVES.get(kind)) is not None:
            return prim(node, *args)
        if counts_batches(node, kind):
            return args[0]
        args = in_evaluation(kind, args)
        place = place_of(node)
        try:
            with annotate({ANNOTATION: (place.module or self._owner(node), place.location)}):
                return call(kind, node.schema(), args)
        except Exception as error:
            raise explain(error, str(place)) from error

    def _owner(self, node: Node) -> str:
        """Path of the module that a parameter of a node belongs to: graphs from files know no modules."""
        names = (value.debugName() for value in node.inputs())
        return next((self._owners[name] for name in names if name in self._owners), "")

    def _get(self, owner: nn.Module, name: str) -> Any:
        if (owner, name) in self._assigned:
            return self._assigned[owner, name]
        return getattr(owner, name)

    def get(self, node: Node, scope: Scope) -> Any:
        """Value of a `prim::GetAttr` node."""
        return self._get(scope[node.inputsAt(0).debugName()], node.s("name"))
