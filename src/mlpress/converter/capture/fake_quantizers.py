"""Modules of `torch.ao.quantization` that round as quantization will, without what they observe."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn


@contextmanager
def observing_nothing(module: nn.Module) -> Iterator[None]:
    """Lets the fake quantizers in `module` only round: whether they also observe depends on their buffers."""
    # Only a program that has imported them can have made any.
    library = sys.modules.get("torch.ao.quantization.fake_quantize")
    kind: Any = getattr(library, "FakeQuantizeBase", None)
    found: list[Any] = [] if kind is None else [part for part in module.modules() if isinstance(part, kind)]
    for part in found:
        part.__dict__["forward"] = partial(_rounded if part.fake_quant_enabled[0] else _same, part)
    try:
        yield
    finally:
        for part in found:
            del part.__dict__["forward"]


def _rounded(part: Any, x: Tensor) -> Tensor:
    low, high = int(part.activation_post_process.quant_min), int(part.activation_post_process.quant_max)
    zero = part.zero_point.to(torch.int32)
    if part.is_per_channel:
        return torch.fake_quantize_per_channel_affine(x, part.scale, zero, part.ch_axis, low, high)
    return torch.fake_quantize_per_tensor_affine(x, part.scale, zero, low, high)


def _same(part: Any, x: Tensor) -> Tensor:
    del part
    return x
