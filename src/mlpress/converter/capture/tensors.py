"""The tensors of a program, and their names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import fx, nn
from torch.export import ExportedProgram


@dataclass(frozen=True, slots=True)
class Tensors:
    """The tensors of a program by full name.

    Attributes:
        parameters: All parameters, unused ones and second names of shared ones included.
        buffers: All buffers, likewise.
        constants: Other tensors that the graph refers to. One called like a parameter takes its place in
            the graph.
    """

    parameters: dict[str, torch.Tensor]
    buffers: dict[str, torch.Tensor]
    constants: dict[str, torch.Tensor]

    def all(self) -> dict[str, torch.Tensor]:
        """All of them by name; a constant comes before what else has its name."""
        return self.parameters | self.buffers | self.constants

    def attributes(self) -> set[str]:
        """Names that nothing else may have: of the tensors, of the modules that hold them, of methods."""
        names = self.all().keys()
        return {*names, *(name.partition(".")[0] for name in names), *dir(fx.GraphModule)}


def tensors_of(program: ExportedProgram) -> Tensors:
    """The tensors that a program holds."""
    buffer_names = set(program.graph_signature.buffers)
    held = program.state_dict | {k: v for k, v in program.constants.items() if isinstance(v, torch.Tensor)}
    parameters: dict[str, torch.Tensor] = {
        name: value for name, value in held.items() if isinstance(value, nn.Parameter)
    }
    buffers = {
        name: value
        for name, value in held.items()
        if name not in parameters and (name in buffer_names or name in program.state_dict)
    }
    constants = {
        name: value for name, value in held.items() if name not in parameters and name not in buffers
    }
    return Tensors(parameters, buffers, constants)


def first_names(tensors: Mapping[str, torch.Tensor]) -> dict[str, str]:
    """For each name of a tensor, the first name that the same tensor has."""
    first: dict[tuple[object, ...], str] = {}
    keys = {name: _identity(value) for name, value in tensors.items()}
    return {name: first.setdefault(key, name) for name, key in keys.items()}


def _identity(value: torch.Tensor) -> tuple[object, ...]:
    return value.untyped_storage()._cdata, value.storage_offset(), value.shape, value.stride(), value.dtype
