"""What a graph under construction refers to."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, fx, nn

from mlpress.encoding import Encoding, storage_key, tensors
from mlpress.mil import Constant, Literal
from mlpress.package.mapped import release
from mlpress.runtime.constants import tensor


class DecodedConstants:
    """Decodes constants; those that share bytes become one tensor. Pages of mapped files are given back."""

    def __init__(self) -> None:
        self._decoded: dict[object, Tensor] = {}

    def of(self, data: Encoding | Literal) -> Tensor:
        """Returns a constant, as a parameter if it is floats with axes."""
        key = id(data) if isinstance(data, Literal) else storage_key(data)
        if key not in self._decoded:
            made = tensor(data)
            for stored in () if isinstance(data, Literal) else tensors(data):
                release(stored)
            self._decoded[key] = nn.Parameter(made) if made.is_floating_point() and made.dim() else made
        return self._decoded[key]


class Parts:
    """Tensors, constants and modules that a graph refers to, each under a name of its own.

    Constants are decoded when the graph is finished: only those that it still uses.
    """

    def __init__(self, decoded: DecodedConstants) -> None:
        """Starts without any part; `decoded` is shared by the graphs of a function."""
        self._decoded: Final = decoded
        self._root = nn.Module()
        self._constants: dict[str, Constant] = {}
        self._anchor: str | None = None

    def anchor(self) -> str:
        """Returns the name of an empty tensor on the device of the module."""
        if self._anchor is None:
            self._anchor = self.keep("anchor", torch.empty(0))
        return self._anchor

    def keep(self, name: str, value: Tensor) -> str:
        """Keeps a tensor as a buffer and returns the name it gets."""
        path = self._free_name(name)
        self._root.register_buffer(path, value)
        return path

    def keep_constant(self, constant: Constant) -> str:
        """Keeps a constant, to be decoded later, and returns the name it gets."""
        path = self._free_name(constant.name)
        self._constants[path] = constant
        return path

    def keep_module(self, name: str, module: nn.Module) -> str:
        """Keeps a module and returns the name it gets."""
        path = self._free_name(name)
        self._root.add_module(path, module)
        return path

    def module(self, node: fx.Node) -> nn.Module | None:
        """Returns the module that `node` calls, or None if it does something else."""
        return self._root.get_submodule(str(node.target)) if node.op == "call_module" else None

    def constant(self, node: fx.Node) -> Tensor | None:
        """Returns the constant that `node` reads, decoded, or None if it does something else."""
        if node.op != "get_attr":
            return None
        path = str(node.target)
        if path in self._constants:
            return self._decoded.of(self._constants[path].data)
        return getattr(self._root, path) if node.meta.get("literal") else None

    def finish(self, graph: fx.Graph) -> fx.GraphModule:
        """Returns `graph` as a module with the parts that it refers to."""
        for node in graph.find_nodes(op="get_attr"):
            constant = self._constants.pop(str(node.target), None)
            if constant is not None:
                self._register(str(node.target), self._decoded.of(constant.data))
        module = fx.GraphModule(self._root, graph)
        if self._anchor is not None:
            module._non_persistent_buffers_set.add(self._anchor)
        return module

    def _register(self, path: str, value: Tensor) -> None:
        if isinstance(value, nn.Parameter):
            self._root.register_parameter(path, value)
        else:
            self._root.register_buffer(path, value)

    def _free_name(self, name: str) -> str:
        path = name.replace(".", "_") or "_"
        while hasattr(self._root, path) or hasattr(fx.GraphModule, path) or path in self._constants:
            path += "_"
        return path
