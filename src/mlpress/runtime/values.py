"""Runs a module node by node and shows what each operation makes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx

from mlpress.runtime.full_float32 import full_float32


@dataclass(frozen=True, slots=True)
class Tap:
    """A value of a running program.

    Attributes:
        name: Name of the value.
        operation: Type of the operation that made it, ``"input"`` for an input.
        tensor: The value, floats as float32.
    """

    name: str
    operation: str
    tensor: Tensor


def taps(
    module: fx.GraphModule, arguments: Sequence[Any], states: Mapping[str, Tensor], device: str
) -> Iterator[Tap]:
    """Runs `module`, which `build` made, and yields its tensors in program order.

    A value is let go after its last use, as when the module runs by itself. Values inside the blocks of
    control flow are not shown.

    Args:
        module: Is not changed, its own states included.
        arguments: What it takes.
        states: By name, the states to use in place of its own; changed in place.
        device: Where all of these are.
    """
    interpreter = fx.Interpreter(module)
    interpreter.args_iter = iter(arguments)
    for node in module.graph.nodes:
        if "state" in node.meta:
            result = states[node.meta["state"]]
        else:
            with torch.no_grad(), full_float32(device):
                result = interpreter.run_node(node)
        interpreter.env[node] = result
        for dead in interpreter.user_to_last_uses.get(node, ()):
            del interpreter.env[dead]
        if "value" in node.meta and isinstance(result, Tensor):
            yield Tap(node.meta["value"].name, node.meta["operation"], result)
