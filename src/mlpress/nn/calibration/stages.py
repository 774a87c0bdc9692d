"""Running a model part by part, so that each layer sees what the compressed layers before it make."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

Seen = Callable[[str, torch.Tensor, torch.Tensor], None]
"""Takes the name of a layer, its input and its output."""

Compress = Callable[[Sequence[str]], None]
"""Compresses layers, by name, from what was seen."""


@dataclass(frozen=True, slots=True, eq=False)
class Stage:
    """Layers that are compressed together, from inputs that a single pass shows.

    Attributes:
        name: Name of the module that holds them.
        module: The module.
        layers: The layers by name.
    """

    name: str
    module: nn.Module
    layers: Mapping[str, nn.Module]


class _AllSeen(Exception):
    """All layers of a stage were called; the rest of the model need not run."""


def run_whole(
    model: nn.Module, stages: Sequence[Stage], batches: Sequence[Any], seen: Seen, compress: Compress
) -> None:
    """Runs the model from its inputs for each stage, as far as the stage's layers: right for any model.

    Args:
        model: The model, in evaluation mode.
        stages: What is compressed together; in the order in which the model calls them.
        batches: A tensor, a tuple of arguments or a mapping of arguments by name each.
        seen: Takes each input and output of a layer.
        compress: Called for each stage after all batches.
    """
    order = _calls(model, stages, batches[0])
    for stage in sorted(stages, key=lambda each: _first(order, each)):
        for batch in batches:
            with _watching(stage, _counted(seen, sum(order.count(name) for name in stage.layers))):
                try:
                    call(model, batch)
                except _AllSeen:
                    continue
        compress(list(stage.layers))


def _calls(model: nn.Module, stages: Sequence[Stage], batch: Any) -> list[str]:
    """Returns the names of the layers that a batch goes through, in order."""
    calls: list[str] = []
    with ExitStack() as watches:
        for stage in stages:
            watches.enter_context(_watching(stage, lambda name, *_: calls.append(name)))
        call(model, batch)
    return calls


def _first(order: Sequence[str], stage: Stage) -> int:
    return min((order.index(name) for name in stage.layers if name in order), default=len(order))


def _counted(seen: Seen, calls: int) -> Seen:
    """Raises _AllSeen with the last of a number of calls."""
    left = [calls]

    def count(name: str, inputs: torch.Tensor, outputs: torch.Tensor) -> None:
        seen(name, inputs, outputs)
        left[0] -= 1
        if left[0] == 0:
            raise _AllSeen

    return count


def run_chain(
    stages: Sequence[Stage], batches: Sequence[Any], named: Mapping[str, Any], seen: Seen, compress: Compress
) -> None:
    """Runs each stage on what the one before it made, once before and once after it is compressed.

    Args:
        stages: The output of each is the input of the next.
        batches: Inputs of the first stage.
        named: Arguments by name that all stages take.
        seen: Takes each input and output of a layer.
        compress: Called for each stage after all batches.
    """
    current = list(batches)
    for stage in stages:
        with _watching(stage, seen):
            for batch in current:
                call(stage.module, batch, named)
        compress(list(stage.layers))
        current = [call(stage.module, batch, named) for batch in current]


def call(module: nn.Module, batch: Any, named: Mapping[str, Any] | None = None) -> Any:
    """Returns the output for a tensor, a sequence of arguments or a mapping of arguments by name."""
    extra = dict(named or {})
    if isinstance(batch, Mapping):
        return module(**batch, **extra)
    arguments = batch if isinstance(batch, (tuple, list)) else (batch,)
    return module(*arguments, **extra)


def _watching(stage: Stage, seen: Seen) -> ExitStack:
    """Shows the inputs and outputs of a stage's layers."""
    handles = ExitStack()

    def watch(name: str) -> Any:
        def hook(_: nn.Module, inputs: tuple[Any, ...], outputs: torch.Tensor) -> None:
            seen(name, inputs[0], outputs)

        return hook

    for name, layer in stage.layers.items():
        handles.callback(layer.register_forward_hook(watch(name)).remove)
    return handles
