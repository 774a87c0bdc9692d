"""Weights that were compressed before a training that has nothing to do to them."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.utils import parametrize

from mlpress.encoding import Scatter, Sparse
from mlpress.errors import EncodingError
from mlpress.nn.metadata import fields_of, load
from mlpress.nn.targets import Target
from mlpress.nn.training.prune import Pruning
from mlpress.nn.training.stack import Stack, add


def keep_compressed(model: nn.Module) -> list[str]:
    """Prepares weights that nothing else prepares, in place, so that they stay what they were compressed to.

    Zeros of pruned ones stay zeros. Those that are quantized or palettized get no gradient.

    Returns:
        Names of the weights that the gradient was taken from.
    """
    frozen: list[str] = []
    masked: dict[int, tuple[Pruning, Stack | None]] = {}
    for path, module in list(model.named_modules()):
        for parameter in fields_of(module):
            if parametrize.is_parametrized(module, parameter):
                continue
            values = module.get_parameter(parameter)
            mask = masked.get(id(values)) or _mask(module, parameter, values)
            if mask is not None:
                masked[id(values)] = mask[0], add(module, parameter, *mask)
            elif values.requires_grad:
                values.requires_grad_(False)
                frozen.append(Target(path, module, parameter).name)
    return frozen


def _mask(module: nn.Module, parameter: str, values: torch.Tensor) -> tuple[Pruning, Stack | None] | None:
    """Returns what keeps the zeros of a weight that is pruned and nothing else."""
    try:
        encoding = load(module, parameter)
    except EncodingError:
        return None
    if isinstance(encoding, Scatter) and isinstance(encoding.source, Sparse):
        return Pruning.keeping(encoding, values), None
    return None
