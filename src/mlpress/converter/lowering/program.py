"""From a captured model to a program in float32 and int32."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import fx
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

from mlpress.converter.capture.captured import Captured
from mlpress.converter.lowering.check import check_supported
from mlpress.converter.lowering.context import Context
from mlpress.converter.lowering.errors import LoweringError
from mlpress.converter.lowering.graph import GraphLowering
from mlpress.converter.lowering.sizes import Sizes
from mlpress.converter.lowering.values import dense, program_type
from mlpress.encoding import Encoding
from mlpress.mil import Block, Function, Operation, Opset, Program, StateType, Value
from mlpress.ops.builder import Builder
from mlpress.ops.infer import Inference


def lower(
    captured: Captured,
    opset: Opset,
    input_names: Sequence[str] = (),
    output_names: Sequence[str] = (),
    encodings: Mapping[str, Encoding] | None = None,
) -> Program:
    """Returns the program of a model, in float32 and int32; its one function is ``main``.

    Weights share memory with the model where their element type allows.

    Args:
        captured: The model.
        opset: Opset whose ops are used.
        input_names: Names of the inputs in order; those of the model if empty.
        output_names: Names of the outputs in order; those of the model if empty.
        encodings: Compressed forms of parameters and buffers, by full name.

    Raises:
        UnsupportedOperatorsError: Operators have no lowering; all are listed.
        LoweringError: The model has something else that cannot be expressed.
    """
    check_supported(captured.graph_module)
    return _ProgramLowering(captured, opset, encodings or {}).run(input_names, output_names)


def legal_name(name: str) -> str:
    """Returns the name closest to `name` that programs allow."""
    legal = re.sub(r"[^A-Za-z0-9_@]", "_", name) or "_"
    return f"var_{legal}" if legal[0].isdigit() else legal


class _ProgramLowering:
    def __init__(self, captured: Captured, opset: Opset, encodings: Mapping[str, Encoding]) -> None:
        self._captured = captured
        self._builder = Builder(opset, Inference(_fake_mode(captured.graph)))
        self._sizes = Sizes(self._builder)
        self._constants = _Constants(captured, self._builder, encodings)

    def run(self, input_names: Sequence[str], output_names: Sequence[str]) -> Program:
        captured = self._captured
        output_names = [legal_name(name) for name in output_names or [o.name for o in captured.outputs]]
        given = [legal_name(name) for name in input_names or [i.name for i in captured.inputs]]
        inputs = [self._input(name, i.node) for name, i in zip(given, captured.inputs, strict=True)]
        states = [self._state(state.name, state.node, state.initial) for state in captured.states]
        reserved = [self._builder.unique(name) for name in output_names]
        context = Context(self._builder, self._sizes, self._nested)
        before = [self._read(value, state.node) for value, state in zip(states, captured.states, strict=True)]
        lowering = GraphLowering(context, captured.graph_module, self._constants, [*inputs, *before])
        lowering.run()
        for state, recorded in zip(states, captured.states, strict=True):
            new = lowering.results[recorded.position]
            self._builder.structural_op("write_state", f"{state.name}_write", [], input=state, data=new)
        results = [lowering.results[output.position] for output in captured.outputs]
        outputs = self._named_outputs(context, results, reserved)
        block = self._builder.block([], outputs)
        return Program({"main": Function([*inputs, *states], self._builder.opset, block)})

    def _input(self, name: str, node: fx.Node) -> Value:
        fake = node.meta["val"]
        value = self._builder.input(name, program_type(fake))
        self._builder.inference.hold(value, fake)
        return value

    def _state(self, name: str, node: fx.Node, initial: torch.Tensor) -> Value:
        if self._builder.opset < Opset.CoreML8:
            raise LoweringError(f"the model changes the buffer {name!r}; states need iOS 18 or later")
        fake = node.meta["val"]
        if not fake.dtype.is_floating_point:
            raise LoweringError(
                f"the buffer {name!r} that the model changes is {fake.dtype}; states are floats"
            )
        if bool(initial.detach().count_nonzero()):
            warnings.warn(f"the buffer {name!r} is not zero; as a state it starts as zeros", stacklevel=2)
        return self._builder.input(legal_name(name), StateType(program_type(fake)))

    def _read(self, state: Value, node: fx.Node) -> Value:
        fake = node.meta["val"]
        return self._builder.structural_op(
            "read_state", f"{state.name}_read", [program_type(fake)], fakes=[fake], input=state
        )[0]

    def _named_outputs(self, context: Context, results: Sequence[Any], names: Sequence[str]) -> list[Value]:
        """Gives the results their names; one that no operation made, or that has one already, is copied."""
        computed = {
            value
            for node in self._builder.operations
            if isinstance(node, Operation)
            for value in node.outputs
        }
        named: list[Value] = []
        for result, name in zip(results, names, strict=True):
            value = result if isinstance(result, Value) else context.number(result)
            if value in named or value not in computed:
                value = self._builder.typed_op("identity", None, [value.type], x=value)[0]
            value.name = name
            named.append(value)
        return named

    def _nested(
        self, outer: Context, module: fx.GraphModule, inputs: Sequence[Any], block_inputs: Sequence[Value]
    ) -> Block:
        builder = outer.builder.nested()
        context = Context(builder, outer.sizes.nested(builder), self._nested)
        lowering = GraphLowering(context, module, self._constants, inputs)
        lowering.run()
        return builder.block(block_inputs, [context.number(result) for result in lowering.results])


class _Constants:
    """Parameters, buffers and constants as values; each made when first asked for.

    Tensors that share memory share one constant. All are made in the outermost block.
    """

    def __init__(self, captured: Captured, builder: Builder, encodings: Mapping[str, Encoding]) -> None:
        self._captured = captured
        self._builder = builder
        self._encodings = encodings
        self._made: dict[object, Value] = {}

    def __call__(self, name: str) -> Value | None:
        """Returns the constant called `name`, None if there is none."""
        try:
            tensor = self._captured.tensor(name)
        except KeyError:
            return None
        key = (tensor.data_ptr(), tensor.dtype, tuple(tensor.shape), tensor.stride())
        if tensor.numel() == 0 or key not in self._made:
            encoding = None if name in self._captured.constants else self._encodings.get(name)
            self._made[key] = self._builder.constant(dense(tensor) if encoding is None else encoding, name)
        return self._made[key]


def _fake_mode(graph: fx.Graph) -> FakeTensorMode | None:
    for node in graph.nodes:
        if isinstance(node.meta.get("val"), FakeTensor):
            mode: FakeTensorMode = node.meta["val"].fake_mode
            return mode
    return None
