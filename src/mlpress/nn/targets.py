"""The parameters that compression is about, and what their axes mean."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn

from mlpress.fit.layout import Layout

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
PROJECTIONS = ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight")


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """A parameter of a module.

    Attributes:
        path: Name of the module in the model.
        module: The module.
        parameter: Name of the parameter in the module.
    """

    path: str
    module: nn.Module
    parameter: str

    @property
    def name(self) -> str:
        """Name of the parameter in the model."""
        return f"{self.path}.{self.parameter}" if self.path else self.parameter

    @property
    def values(self) -> nn.Parameter:
        return self.module.get_parameter(self.parameter)

    @property
    def layout(self) -> Layout:
        """Roles of the parameter's axes."""
        groups = self.module.groups if isinstance(self.module, (*CONVOLUTIONS, *TRANSPOSED)) else 1
        if isinstance(self.module, TRANSPOSED):
            return Layout(output_axis=1, input_axis=0, groups=groups)
        structured = isinstance(self.module, (nn.Linear, nn.MultiheadAttention, *CONVOLUTIONS))
        return Layout(groups=groups, prunable_in_patterns=structured)


def targets(model: nn.Module, kinds: tuple[type[nn.Module], ...]) -> Iterator[Target]:
    """Yields the weights of modules of some types, each as often as modules share it.

    Attention modules have their input projections; their output projection is a linear module of its own.
    """
    for path, module in model.named_modules():
        if isinstance(module, kinds):
            for parameter in weight_names(module):
                yield Target(path, module, parameter)


def owners(model: nn.Module) -> dict[int, list[tuple[nn.Module, str]]]:
    """Returns the modules that hold each parameter, and its names there, by the parameter's id."""
    found: dict[int, list[tuple[nn.Module, str]]] = {}
    for module in model.modules():
        for name, parameter in module._parameters.items():
            if parameter is not None:
                found.setdefault(id(parameter), []).append((module, name))
    return found


def weight_names(module: nn.Module) -> list[str]:
    """Returns the names of a module's weights."""
    names = PROJECTIONS if isinstance(module, nn.MultiheadAttention) else ("weight",)
    return [name for name in names if isinstance(getattr(module, name, None), torch.Tensor)]
