"""From a function of a program to an fx graph module."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import torch
from torch import fx

from mlpress import bits, ops
from mlpress.errors import InvalidProgramError
from mlpress.mil import (
    Block,
    Constant,
    Function,
    Literal,
    Operand,
    Operation,
    Opset,
    StateType,
    TensorType,
    Value,
)
from mlpress.ops.arguments import arguments, python_value, single
from mlpress.runtime.check import check_supported
from mlpress.runtime.constants import EncodedWeight, carrier, tensor
from mlpress.runtime.control_flow import Cond, While
from mlpress.runtime.fast import use_fast_kernels
from mlpress.runtime.options import RunOptions
from mlpress.runtime.parts import DecodedConstants, Parts
from mlpress.runtime.precision import Float16
from mlpress.runtime.scope import free_values
from mlpress.runtime.state import state_type, zeros


def build(
    name: str, function: Function, options: RunOptions, decoded: DecodedConstants | None = None
) -> fx.GraphModule:
    """Returns `function` as a graph module on `options.device`.

    Its `forward` takes the inputs in the function's order, states left out, and returns the outputs by name
    in a dictionary. Weights are parameters under the names of the constants, states are buffers. The nodes
    that hold values of the program have them as ``meta["value"]`` and what made them as
    ``meta["operation"]``; those that hold decoded constants have these as ``meta["constant"]``.

    Args:
        name: Name of the function, for messages.
        function: Not changed.
        options: `compile` is left to the caller.
        decoded: Constants that are decoded already, for another module of the same function.

    Raises:
        UnsupportedModelError: The function has operations that cannot be run; all are listed.
        InvalidProgramError: An operand is not what its operation takes.
    """
    check_supported(name, function)
    shared = _Shared(function.opset, options, decoded or DecodedConstants())
    builder = _BlockBuilder(shared, {})
    for value in function.inputs:
        if isinstance(value.type, StateType):
            builder.define_state(value, state_type(value))
        else:
            builder.define_input(value)
    builder.run(function.block)
    builder.graph.output({value.name: builder.tensor(value) for value in function.block.outputs})
    return builder.module().to(options.device)


class _Shared:
    """What all blocks of a function share while it is built."""

    def __init__(self, opset: Opset, options: RunOptions, decoded: DecodedConstants) -> None:
        self.opset = opset
        self.keep_encoded = options.weights == "encoded"
        self.rounding = Float16() if options.precision == "float16" else None
        self.fast_on = torch.device(options.device) if options.fast else None
        self.decoded = decoded


class _BlockBuilder:
    """Builds the graph of one block. Nested blocks know outer constants; other outer values are inputs."""

    def __init__(self, shared: _Shared, constants: Mapping[Value, Constant]) -> None:
        self.graph = fx.Graph()
        self._shared = shared
        self._parts = Parts(shared.decoded)
        self._constants = dict(constants)
        self._nodes: dict[Value, fx.Node] = {}
        self._rounding: str | None = None

    def module(self) -> fx.GraphModule:
        if self._shared.fast_on is not None:
            use_fast_kernels(self.graph, self._parts, self._shared.fast_on)
        return self._parts.finish(self.graph)

    # ---- operands ----

    def anchor(self) -> fx.Node:
        """Returns a node for an empty tensor on the device of the module."""
        return self.graph.get_attr(self._parts.anchor())

    def tensor(self, operand: Operand) -> fx.Node:
        """Returns the node that holds `operand` as a tensor, or as a list of tensors."""
        if isinstance(operand, Literal):
            return self._literal(operand)
        if operand in self._nodes:
            return self._nodes[operand]
        constant = self._constants.get(operand)
        if constant is None:
            raise InvalidProgramError(f"the value {operand.name!r} is used before it is defined")
        kind = constant.output.type
        if self._shared.keep_encoded and isinstance(kind, TensorType) and len(kind.shape) > 1:
            return self._decoding(constant)
        node = self._nodes[operand] = self.graph.get_attr(self._parts.keep_constant(constant))
        node.meta["constant"] = constant
        return node

    def plain(self, operand: Operand) -> Any:
        """Returns `operand` as a plain value if it is known now, else a node that reads it in the run."""
        if isinstance(operand, Literal):
            return python_value(operand)
        constant = self._constants.get(operand)
        if constant is not None:
            return python_value(constant.data)
        return self.graph.call_function(host_value, (self.tensor(operand),))

    def dtype(self, operand: Operand | None) -> torch.dtype:
        kind = None if operand is None else operand.type
        return carrier(kind.dtype) if isinstance(kind, TensorType) else torch.float32

    def element_type(self, name: str) -> str:
        return "fp32" if name == "fp16" else name

    # ---- definitions ----

    def define_input(self, value: Value) -> None:
        self._hold(value, self.graph.placeholder(value.name), "input", value.name)

    def define_state(self, value: Value, kind: TensorType) -> None:
        node = self.graph.get_attr(self._parts.keep(value.name, zeros(kind)))
        node.meta["state"] = value.name
        self._nodes[value] = node

    def run(self, block: Block) -> None:
        """Adds every operation of `block`."""
        for node in block.operations:
            if isinstance(node, Constant):
                self._constants[node.output] = node
            elif node.type in _STRUCTURAL:
                _STRUCTURAL[node.type](self, node)
            else:
                self._call(node)

    def _call(self, operation: Operation) -> None:
        version = ops.lookup(operation.type, self._shared.opset)
        assert version is not None  # check_supported has looked
        call = self.graph.call_function(version.function, (), arguments(operation, version, self))
        self._define(operation, call, version.several)

    def _define(self, operation: Operation, call: fx.Node, several: bool) -> None:
        for index, value in enumerate(operation.outputs):
            node = self.graph.call_function(operator.getitem, (call, index)) if several else call
            self._hold(value, node, operation.type, operation.name)

    def _hold(self, value: Value, node: fx.Node, kind: str, name: str) -> None:
        if self._shared.rounding is not None and _is_float16(value):
            if self._rounding is None:
                self._rounding = self._parts.keep_module("float16", self._shared.rounding)
            node = self.graph.call_module(self._rounding, (node, name, kind))
        node.meta["value"], node.meta["operation"] = value, kind
        self._nodes[value] = node

    # ---- structure ----

    def _cond(self, operation: Operation) -> None:
        predicate = self.tensor(single(operation, "pred"))
        self._control_flow(operation, Cond, predicate)

    def _while_loop(self, operation: Operation) -> None:
        bound = operation.inputs["loop_vars"]
        values = bound if isinstance(bound, tuple) else (bound,)
        self._control_flow(operation, While, tuple(map(self.tensor, values)))

    def _control_flow(self, operation: Operation, module: type[Cond | While], argument: Any) -> None:
        captured = free_values(operation.blocks, self._constants)
        blocks = [self._nested(block, captured) for block in operation.blocks]
        path = self._parts.keep_module(operation.name, module(*blocks))
        call = self.graph.call_module(path, (argument, tuple(map(self.tensor, captured))))
        self._define(operation, call, several=True)

    def _nested(self, block: Block, captured: Sequence[Value]) -> fx.GraphModule:
        nested = _BlockBuilder(self._shared, self._constants)
        for value in (*block.inputs, *captured):
            nested.define_input(value)
        nested.run(block)
        nested.graph.output(tuple(map(nested.tensor, block.outputs)))
        return nested.module()

    def _read_state(self, operation: Operation) -> None:
        call = self.graph.call_function(torch.clone, (self.tensor(single(operation, "input")),))
        self._define(operation, call, several=False)

    def _write_state(self, operation: Operation) -> None:
        state, data = self.tensor(single(operation, "input")), self.tensor(single(operation, "data"))
        self.graph.call_method("copy_", (state, data))

    def _classify(self, operation: Operation) -> None:
        flat = self.graph.call_method("flatten", (self.tensor(single(operation, "probabilities")),))
        best = self.graph.call_function(torch.argmax, (flat,))
        for value, node in zip(operation.outputs, (best, flat), strict=True):
            self._hold(value, node, operation.type, operation.name)

    # ---- helpers ----

    def _literal(self, literal: Literal) -> fx.Node:
        node = self.graph.get_attr(self._parts.keep("literal", tensor(literal)))
        node.meta["literal"] = True
        return node

    def _decoding(self, constant: Constant) -> fx.Node:
        path = self._parts.keep_module(constant.name, EncodedWeight(constant))
        node = self.graph.call_module(path, (self.anchor(),))
        node.meta["decodes"] = constant
        return node


def host_value(x: torch.Tensor) -> Any:
    """Returns a tensor that a program computes as the plain value, or list of them, that an op asks for."""
    return x.tolist()


def _is_float16(value: Value) -> bool:
    return isinstance(value.type, TensorType) and value.type.dtype == bits.FLOAT16


_STRUCTURAL: Final[dict[str, Callable[[_BlockBuilder, Operation], None]]] = {
    "classify": _BlockBuilder._classify,
    "cond": _BlockBuilder._cond,
    "read_state": _BlockBuilder._read_state,
    "while_loop": _BlockBuilder._while_loop,
    "write_state": _BlockBuilder._write_state,
}
