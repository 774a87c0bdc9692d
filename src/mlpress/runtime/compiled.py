"""Whole graphs compiled by torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import fx


def compiled(module: fx.GraphModule) -> Callable[..., Any]:
    """Returns `module` compiled as one graph for inference, its weights constants of the code."""
    return torch.compile(module, options={"freezing": True})
