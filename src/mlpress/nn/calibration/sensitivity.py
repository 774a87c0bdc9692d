"""How much each weight matters for a loss: squared gradients, the diagonal of the Fisher information.

(Kim et al. 2023, "SqueezeLLM", section 4.1.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

from mlpress.errors import RecipeError

_LEAST = 1e-12


def sensitivities(
    model: nn.Module, data: Iterable[Any], loss_fn: Callable[[nn.Module, Any], torch.Tensor], samples: int
) -> dict[str, torch.Tensor]:
    """Adds up squared gradients over samples.

    Args:
        model: Left as it was, gradients included.
        data: What `loss_fn` takes, one at a time.
        loss_fn: Takes the model and a sample, and returns the loss.
        samples: How many to use at most.

    Returns:
        For each parameter that needs a gradient a tensor of its shape, float32 on the CPU, between 1e-12 and
        1. Zeros become the least value above.

    Raises:
        RecipeError: There are no data.
    """
    parameters = {name: each for name, each in model.named_parameters() if each.requires_grad}
    squares = {name: torch.zeros_like(each, dtype=torch.float32) for name, each in parameters.items()}
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    seen = 0
    try:
        for sample in data:
            if seen == samples:
                break
            with torch.enable_grad():
                loss = loss_fn(model, sample)
                gradients = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)
            for name, gradient in zip(parameters, gradients, strict=True):
                if gradient is not None:
                    squares[name] += gradient.float().square()
            seen += 1
    finally:
        with torch.no_grad():
            for buffer, before in buffers:
                buffer.copy_(before)
    if not seen:
        raise RecipeError("the dataloader has no samples; sensitivities need one at least")
    return {name: _normalized(square).cpu() for name, square in squares.items()}


def _normalized(squares: torch.Tensor) -> torch.Tensor:
    largest = squares.max()
    if not torch.isfinite(largest):
        raise RecipeError("a gradient is not finite; sensitivities cannot be computed")
    if largest == 0:
        return torch.ones_like(squares)
    fractions = squares / largest
    least = fractions[fractions > 0].min()
    return torch.where(fractions == 0, least, fractions).clamp(min=_LEAST)
