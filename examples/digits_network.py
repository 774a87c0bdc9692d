"""A small convolutional network on scikit-learn's bundled digits, trained in a few seconds."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional

EPOCHS = 6
BATCH = 32
LEARNING_RATE = 2e-3


@dataclass(frozen=True, slots=True)
class Digits:
    """8x8 grey images scaled to 0..1, shape [n, 1, 8, 8], with their labels, shape [n], cut in two."""

    train_images: NDArray[np.float32]
    train_labels: NDArray[np.int64]
    test_images: NDArray[np.float32]
    test_labels: NDArray[np.int64]


def digits() -> Digits:
    """Returns the 1,797 digits, three quarters of them for training."""
    images, labels = load_digits(return_X_y=True)
    images = (images / 16).astype(np.float32).reshape(-1, 1, 8, 8)
    order = np.random.default_rng(0).permutation(len(images))
    train, test = np.split(order, [len(order) * 3 // 4])
    return Digits(images[train], labels[train], images[test], labels[test])


def train(data: Digits) -> nn.Module:
    """Returns the trained network, in evaluation mode: images [n, 1, 8, 8] to probabilities [n, 10]."""
    torch.manual_seed(0)
    images, labels = torch.from_numpy(data.train_images), torch.from_numpy(data.train_labels)
    network = _network()
    optimizer = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE)
    steps = EPOCHS * -(-len(images) // BATCH)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(images)).split(BATCH):
            optimizer.zero_grad()
            functional.cross_entropy(network(images[batch]), labels[batch]).backward()
            optimizer.step()
            schedule.step()
    return nn.Sequential(
        OrderedDict([*network.named_children(), ("probabilities", nn.Softmax(dim=1))])
    ).eval()


def _network() -> nn.Sequential:
    layers: list[tuple[str, nn.Module]] = [
        ("conv1", nn.Conv2d(1, 16, 3, padding=1)),
        ("norm1", nn.BatchNorm2d(16)),
        ("relu1", nn.ReLU()),
        ("conv2", nn.Conv2d(16, 32, 3, padding=1)),
        ("relu2", nn.ReLU()),
        ("pool", nn.MaxPool2d(2)),
        ("flat", nn.Flatten()),
        ("dense1", nn.Linear(512, 128)),
        ("relu3", nn.ReLU()),
        ("dense2", nn.Linear(128, 10)),
    ]
    return nn.Sequential(OrderedDict(layers))
