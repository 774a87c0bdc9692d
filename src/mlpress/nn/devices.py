"""Where modules are, and tensors with them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn


def device_of(module: nn.Module) -> torch.device:
    """Returns the device of the first parameter of a module, the CPU if it has none."""
    return next((parameter.device for parameter in module.parameters()), torch.device("cpu"))


def to_device(value: Any, device: str | torch.device) -> Any:
    """Returns tensors, also those in tuples, lists and mappings, on a device."""
    if isinstance(value, torch.Tensor):
        return value.to(device)
    if isinstance(value, (tuple, list)):
        moved = [to_device(each, device) for each in value]
        if isinstance(value, list):
            return moved
        return value._make(moved) if hasattr(value, "_make") else tuple(moved)
    if isinstance(value, Mapping):
        return {key: to_device(each, device) for key, each in value.items()}
    return value
