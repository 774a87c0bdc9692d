"""A small network, and training it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn


def network(seed: int = 0) -> nn.Module:
    """Convolution, batch norm, activation and two linear layers."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 16, 3),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(256, 32),
        nn.ReLU(),
        nn.Linear(32, 8),
    )


def batch(index: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(index)
    return torch.randn(8, 3, 6, 6, generator=generator), torch.randint(0, 8, (8,), generator=generator)


def train(
    model: nn.Module, optimizers: Sequence[Any], steps: int = 4, first: int = 0, rate: float = 0.01
) -> None:
    """Trains a prepared model; `optimizers` take a step each after each step."""
    sgd = torch.optim.SGD(model.parameters(), lr=rate)
    model.train()
    for index in range(first, first + steps):
        inputs, labels = batch(index)
        sgd.zero_grad()
        nn.functional.cross_entropy(model(inputs), labels).backward()
        sgd.step()
        for optimizer in optimizers:
            optimizer.step()


def same_state(first: nn.Module, second: nn.Module) -> bool:
    one, other = first.state_dict(), second.state_dict()
    return one.keys() == other.keys() and all(
        torch.equal(one[key], other[key]) if isinstance(one[key], torch.Tensor) else one[key] == other[key]
        for key in one
    )
