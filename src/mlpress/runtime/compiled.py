"""Whole graphs compiled by torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import fx


def compiled(module: fx.GraphModule) -> Callable[..., Any]:
    """Returns `module` compiled as one graph for inference, its weights constants of the code.

    It is compiled at the first call, and again for inputs of another shape.
    """
    from torch._inductor import config  # takes a second, which only those who compile should wait

    run = torch.compile(module)

    def call(*arguments: Any) -> Any:
        # What traces the module asks for it, too: an option of the backend would come too late.
        with config.patch(freezing=True):
            return run(*arguments)

    return call
