"""What capturing gives: one ATen graph and all that it refers to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import sympy
import torch
from torch import fx


@dataclass(frozen=True, slots=True)
class Dimension:
    """A dimension that stays open.

    Attributes:
        symbol: The symbol in the shapes of `node.meta["val"]`, which may hold expressions of several symbols.
        name: The user's name for it, else the symbol's.
        minimum: Smallest size, at least 1.
        maximum: Largest size; None if there is no bound.
    """

    symbol: sympy.Symbol
    name: str
    minimum: int
    maximum: int | None

    def __post_init__(self) -> None:
        if self.minimum < 1 or (self.maximum is not None and self.maximum < self.minimum):
            raise ValueError(f"dimension {self.name}: no sizes between {self.minimum} and {self.maximum}")


@dataclass(frozen=True, slots=True)
class Input:
    """A tensor that the caller gives.

    Attributes:
        name: Name of the argument, and behind it the keys and positions that lead into a list or dict.
        node: Its placeholder.
        shape: Sizes; `torch.SymInt` where a dimension is open.
        dtype: Element type.
    """

    name: str
    node: fx.Node
    shape: tuple[int | torch.SymInt, ...]
    dtype: torch.dtype


@dataclass(frozen=True, slots=True)
class Output:
    """A tensor that the caller gets.

    Attributes:
        name: Keys that lead to it in what `forward` returns, or the name of its node where there are none.
        position: Position among the results of the graph, which come before the new values of the states.
    """

    name: str
    position: int


@dataclass(frozen=True, slots=True)
class State:
    """A buffer that the model changes.

    Attributes:
        name: Full name of the buffer.
        node: The placeholder that holds its value before.
        position: Position of its value afterwards among the results of the graph.
        initial: Its value in the model, not a copy.
    """

    name: str
    node: fx.Node
    position: int
    initial: torch.Tensor


@dataclass(frozen=True, slots=True)
class Captured:
    """A model as one graph of functional ATen operators.

    Nodes are placeholders (inputs, then states), `get_attr` (a name in `parameters`, `buffers` or
    `constants`, or a graph module that an operator such as `torch.ops.higher_order.cond` takes),
    `call_function`, and one `output` with a flat tuple: the outputs, then the new values of the states.
    Nothing is changed in place. Every node that stands for a value has it in ``meta["val"]``: a fake tensor,
    a `torch.SymInt`, a number, or a tuple of those. Strides of fake tensors mean nothing: copies are left
    out, and views are reshapes. `source_of` tells where in the user's code a node comes from.

    Attributes:
        graph_module: The graph, which also runs: it takes the inputs and the states and returns the tuple.
        inputs: In the order of the placeholders.
        outputs: In the order of the results.
        states: In the order of the placeholders behind the inputs.
        parameters: All parameters by full name, unused ones and second names of shared ones included.
        buffers: All buffers by full name, likewise.
        constants: Other tensors that the graph refers to: literals, and what was computed from constants. One
            called like a parameter was computed from it, and takes its place in the graph.
        dimensions: The open dimensions.
        mutated_inputs: Names of inputs that the model's code changes in place. The graph leaves them alone.
        seconds: Wall time of the stages, by name.
    """

    graph_module: fx.GraphModule
    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]
    states: tuple[State, ...]
    parameters: Mapping[str, torch.Tensor]
    buffers: Mapping[str, torch.Tensor]
    constants: Mapping[str, torch.Tensor]
    dimensions: tuple[Dimension, ...]
    mutated_inputs: tuple[str, ...]
    seconds: Mapping[str, float]

    @property
    def graph(self) -> fx.Graph:
        """The graph of `graph_module`."""
        return self.graph_module.graph

    def tensor(self, name: str) -> torch.Tensor:
        """The tensor that a `get_attr` node with this target stands for.

        Raises:
            KeyError: There is no such parameter, buffer or constant.
        """
        for tensors in (self.constants, self.parameters, self.buffers):
            if name in tensors:
                return tensors[name]
        raise KeyError(name)
