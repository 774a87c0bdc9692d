"""What the networks of the zoo have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

Array = npt.NDArray[Any]
Inputs = Mapping[str, Tensor]


@dataclass(frozen=True)
class Network:
    """A module of torch with random weights.

    Attributes:
        module: Takes the inputs in order; returns a tensor or several.
        draw: Makes random inputs by name, always of the same shapes.
    """

    module: nn.Module
    draw: Callable[[], Inputs]

    def __call__(self, inputs: Inputs) -> list[Array]:
        """What torch computes from `inputs`."""
        with torch.no_grad():
            result = self.module(*inputs.values())
        return [output.numpy() for output in ([result] if isinstance(result, Tensor) else result)]


def network(module: nn.Module, draw: Callable[[], Inputs]) -> Network:
    """Makes a module ready to be compared: see `stir` and `settle`."""
    module.eval()
    stir(module)
    settle(module, draw)
    return Network(module, draw)


def stir(module: nn.Module) -> None:
    """Adds noise to the parameters that start as zeros, ones or another constant.

    Else an output layer of zeros hides everything before it, and biases could be forgotten unnoticed.
    """
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.numel() > 1 and parameter.min() == parameter.max():
                parameter.add_(torch.randn_like(parameter), alpha=0.1)


def settle(module: nn.Module, draw: Callable[[], Inputs]) -> None:
    """Gives the batch normalizations statistics that keep activations in proportion.

    With those that they start with, activations of deep random networks vanish below float16 or leave its
    range. With those of their inputs, the channels of a random network, which hardly vary, lose their mean,
    and what is left is largely rounding error, enlarged. So they divide by the root of the mean square, and
    half of the mean stays.
    """
    norms = [part for part in module.modules() if isinstance(part, _BatchNorm)]
    if not norms:
        return
    for norm in norms:
        norm.momentum = None  # the mean over all batches, of which there is one
        norm.train()
    first, second = draw(), draw()
    with torch.no_grad():
        module(*(torch.cat([first[name], second[name]]) for name in first))
    module.eval()
    for norm in norms:
        assert norm.running_mean is not None and norm.running_var is not None
        norm.running_var.add_(norm.running_mean.square())
        norm.running_mean.div_(2)
