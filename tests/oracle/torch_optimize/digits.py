"""A network trained on scikit-learn's digits in a few seconds, and what compression does to it."""

from __future__ import annotations

import copy
from functools import cache

import torch
from sklearn.datasets import load_digits
from torch import nn

TRAINED, EPOCHS, BATCH = 1347, 5, 32


@cache
def data() -> tuple[torch.Tensor, torch.Tensor]:
    """Images [n, 1, 8, 8] in 0..1 and labels; the first TRAINED are for training."""
    images, labels = load_digits(return_X_y=True)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    inputs = torch.tensor(images / 16, dtype=torch.float32).reshape(-1, 1, 8, 8)
    return inputs[order], torch.tensor(labels)[order]


@cache
def _trained() -> nn.Module:
    images, labels = data()
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(128, 64),
        nn.ReLU(),
        nn.Linear(64, 10),
    )
    adam = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(EPOCHS):
        for part in torch.randperm(TRAINED).split(BATCH):
            adam.zero_grad()
            nn.functional.cross_entropy(model(images[part]), labels[part]).backward()
            adam.step()
    return model.eval()


def trained() -> nn.Module:
    """The network in evaluation mode, a copy each time."""
    return copy.deepcopy(_trained())


def samples() -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Batches of images and labels to calibrate with."""
    images, labels = data()
    return list(zip(images[:TRAINED].split(BATCH), labels[:TRAINED].split(BATCH), strict=True))


def accuracy(model: nn.Module) -> float:
    images, labels = data()
    with torch.no_grad():
        return float((model.eval()(images[TRAINED:]).argmax(1) == labels[TRAINED:]).float().mean())


def output_error(model: nn.Module) -> float:
    """Squared error of the outputs for new images, relative to the outputs of the float network."""
    images, _ = data()
    with torch.no_grad():
        expected = _trained()(images[TRAINED:])
        return float((model.eval()(images[TRAINED:]) - expected).square().sum() / expected.square().sum())
