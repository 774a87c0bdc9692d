"""A network prepared with any techniques."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from mlpress.optimize.torch.palettization import DKMPalettizer, DKMPalettizerConfig
from mlpress.optimize.torch.pruning import MagnitudePruner, MagnitudePrunerConfig
from mlpress.optimize.torch.quantization import LinearQuantizer, LinearQuantizerConfig

PRUNE = {"target_sparsity": 0.6, "scheduler": {"update_steps": [1, 2, 4, 6]}}
PALETTIZE = {"n_bits": 2, "milestone": 2, "weight_threshold": 100, "palett_tau": 0.001}
QUANTIZE = {"milestones": [0, 1, 5, 4]}
INPUTS = (torch.zeros(2, 3, 6, 6),)

COMBINATIONS: dict[str, tuple[str, ...]] = {
    "prune": ("prune",),
    "palettize": ("palettize",),
    "palettize with noise": ("noisy",),
    "quantize": ("quantize",),
    "weights": ("weights",),
    "learned": ("learned",),
    "prune and palettize": ("prune", "palettize"),
    "prune, palettize, table of integers": ("prune", "table"),
    "prune and quantize": ("prune", "quantize"),
    "palettize and quantize": ("palettize", "quantize"),
    "all": ("prune", "palettize", "weights"),
    "all, and activations": ("prune", "palettize", "quantize"),
}


def prepare(model: nn.Module, names: Sequence[str]) -> tuple[nn.Module, list[Any]]:
    """The model, prepared in place, and the optimizers that did it."""
    optimizers: list[Any] = []
    for name in names:
        if name == "prune":
            optimizer: Any = MagnitudePruner(model, MagnitudePrunerConfig.from_dict({"global_config": PRUNE}))
            model = optimizer.prepare(inplace=True)
        elif name in ("palettize", "noisy", "table"):
            mode = {"noisy": {"palett_mode": "gsm"}, "table": {"lut_dtype": "i8"}}.get(name, {})
            config = DKMPalettizerConfig.from_dict({"global_config": {**PALETTIZE, **mode}})
            optimizer = DKMPalettizer(model, config)
            model = optimizer.prepare(inplace=True)
        else:
            extra = {"weights": {"activation_dtype": "float32"}, "learned": {"algorithm": "learnable"}}
            config = {**QUANTIZE, **extra.get(name, {})}
            optimizer = LinearQuantizer(model, LinearQuantizerConfig.from_dict({"global_config": config}))
            model = optimizer.prepare(INPUTS, inplace=True)
        optimizers.append(optimizer)
    return model, optimizers


def finalize(model: nn.Module, optimizers: Sequence[Any]) -> nn.Module:
    for optimizer in optimizers:
        model = optimizer.finalize(model, inplace=True)
    return model
