"""From an exported program, in which all tensors are inputs, to a graph that refers to them by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx
from torch.export import ExportedProgram
from torch.export.graph_signature import ConstantArgument, InputKind, InputSpec, OutputKind, OutputSpec

from mlpress.converter.capture.captured import Input, Output, State
from mlpress.converter.capture.errors import CaptureError
from mlpress.converter.capture.naming import input_names, output_names, unique
from mlpress.converter.capture.tensors import Tensors, first_names, tensors_of

_STORED = {InputKind.PARAMETER, InputKind.BUFFER, InputKind.CONSTANT_TENSOR}
_STATES = {OutputKind.BUFFER_MUTATION, OutputKind.PARAMETER_MUTATION}


@dataclass(frozen=True, slots=True)
class Unlifted:
    """The parts of a program.

    Attributes:
        graph: Inputs and states as placeholders, tensors of the model as `get_attr`, a flat tuple as output.
        inputs: As in `Captured`.
        outputs: As in `Captured`.
        states: As in `Captured`.
        tensors: What `get_attr` nodes refer to, and all other tensors of the model.
        modules: Graph modules that the graph refers to, by name.
    """

    graph: fx.Graph
    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]
    states: tuple[State, ...]
    tensors: Tensors
    modules: Mapping[str, fx.GraphModule]


def unlift(program: ExportedProgram) -> Unlifted:
    """Takes a program apart; the program itself stays as it is.

    Raises:
        CaptureError: An input or output is of a kind that a program cannot have, or a number is an input.
    """
    return _Unlifting(program).run()


class _Unlifting:
    """The graph under construction, and the nodes of it that stand for nodes of the program."""

    def __init__(self, program: ExportedProgram) -> None:
        self._program = program
        self._tensors = tensors_of(program)
        self._graph = fx.Graph()
        self._new: dict[fx.Node, fx.Node] = {}
        self._old = {node.name: node for node in program.graph.nodes}
        self._modules: dict[str, fx.GraphModule] = {}
        self._names = first_names(self._tensors.all())

    def run(self) -> Unlifted:
        specs = self._program.graph_signature.input_specs
        changed = {spec.target for spec in self._program.graph_signature.output_specs if spec.kind in _STATES}
        inputs = self._inputs([spec for spec in specs if spec.kind is InputKind.USER_INPUT])
        stored = [spec for spec in specs if spec.kind in _STORED]
        state_nodes = {
            spec.target: self._placeholder(spec.arg.name) for spec in stored if spec.target in changed
        }
        for spec in stored:
            if spec.target not in state_nodes:
                self._tensor(spec)
        others = [
            spec for spec in specs if spec.kind not in _STORED and spec.kind is not InputKind.USER_INPUT
        ]
        if others:
            kinds = ", ".join(f"{spec.arg.name!r} ({spec.kind.name.lower()})" for spec in others)
            raise CaptureError(f"the model needs inputs that are not tensors: {kinds}")
        self._body()
        outputs, states = self._results(state_nodes)
        return Unlifted(self._graph, tuple(inputs), outputs, states, self._tensors, self._modules)

    def _copied(self, old: fx.Node, new: fx.Node) -> fx.Node:
        new.meta = dict(old.meta)
        self._new[old] = new
        return new

    def _placeholder(self, name: str) -> fx.Node:
        old = self._old[name]
        return self._copied(old, self._graph.placeholder(old.name))

    def _inputs(self, specs: list[InputSpec]) -> list[Input]:
        inputs = []
        for spec, name in zip(specs, input_names(self._program, len(specs)), strict=True):
            old = self._old[spec.arg.name]
            value = old.meta.get("val")
            if isinstance(value, torch.Tensor):
                node = self._placeholder(old.name)
                inputs.append(Input(name or old.name, node, tuple(value.shape), value.dtype))
            elif old.users:
                raise CaptureError(
                    f"input {name or old.name!r} is a {type(value).__name__}; give it as a tensor"
                )
        return inputs

    def _tensor(self, spec: InputSpec) -> None:
        old = self._old[spec.arg.name]
        if old.users:
            self._copied(old, self._graph.get_attr(self._names[spec.target or ""]))

    def _body(self) -> None:
        for old in self._program.graph.nodes:
            if old.op == "get_attr":
                attribute = getattr(self._program.graph_module, old.target)
                if isinstance(attribute, fx.GraphModule):
                    self._modules[old.target] = copied(attribute)
                else:
                    self._tensors.constants[old.target] = attribute
            if old.op not in ("placeholder", "output"):
                self._copied(old, self._graph.node_copy(old, self._new.__getitem__))

    def _results(
        self, state_nodes: Mapping[str | None, fx.Node]
    ) -> tuple[tuple[Output, ...], tuple[State, ...]]:
        specs = self._program.graph_signature.output_specs
        named = output_names(self._program, sum(spec.kind is OutputKind.USER_OUTPUT for spec in specs))
        results: list[fx.Node] = []
        outputs: list[Output] = []
        for spec in (spec for spec in specs if spec.kind is OutputKind.USER_OUTPUT):
            name = next(named)
            node = self._result(spec)
            if node is not None:
                taken = {output.name for output in outputs}
                outputs.append(Output(unique(name or node.name, taken), len(results)))
                results.append(node)
        states = []
        for spec in (spec for spec in specs if spec.kind in _STATES):
            name = self._names[spec.target or ""]
            states.append(State(name, state_nodes[spec.target], len(results), self._tensors.all()[name]))
            results.append(self._new[self._old[spec.arg.name]])
        self._graph.output(tuple(results))
        return tuple(outputs), tuple(states)

    def _result(self, spec: OutputSpec) -> fx.Node | None:
        if not isinstance(spec.arg, ConstantArgument):
            return self._new[self._old[spec.arg.name]]
        if spec.arg.value is None:
            return None
        if isinstance(spec.arg.value, str):
            raise CaptureError(
                f"the model returns the string {spec.arg.value!r}; only tensors and numbers are allowed"
            )
        return self._constant(torch.tensor(spec.arg.value))

    def _constant(self, value: torch.Tensor) -> fx.Node:
        name = unique("constant", self._tensors.attributes())
        self._tensors.constants[name] = value
        node = self._graph.get_attr(name)
        mode = next(v.fake_mode for v in _fake_tensors(self._program.graph))
        node.meta["val"] = mode.from_tensor(value)
        return node


def _fake_tensors(graph: fx.Graph) -> Any:
    return (value for node in graph.nodes if hasattr(value := node.meta.get("val"), "fake_mode"))


def copied(module: fx.GraphModule) -> fx.GraphModule:
    """A graph module with a graph of its own, over the same tensors and values."""
    graph = fx.Graph()
    result = graph.graph_copy(module.graph, {}, return_output_node=True)
    assert isinstance(result, tuple)
    value, old_output = result
    graph.output(value).meta = dict(old_output.meta)
    own = {
        node.target: copied(child)
        for node in module.graph.find_nodes(op="get_attr")
        if isinstance(child := getattr(module, str(node.target)), fx.GraphModule)
    }
    result_module = fx.GraphModule(module, graph)
    for name, child in own.items():
        setattr(result_module, str(name), child)
    return result_module
