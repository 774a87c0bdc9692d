"""Tracing networks so that coremltools can convert them, too."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor, nn


def trace(module: nn.Module, inputs: tuple[Tensor, ...]) -> torch.jit.ScriptModule:
    """Traces `module` with attention spelled out.

    Without gradients, torch calls encoder layers as one operator, ``_native_multi_head_attention``, for which
    coremltools has no converter.
    """
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # tracing is deprecated, and warns of what becomes constant
            return torch.jit.trace(module, inputs, check_trace=False)
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
