"""Recurrent networks over tokens."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from tests.zoo.network import Network, network


class Tagger(nn.Module):
    """Log-probabilities of a tag for each token, and the states that they come from."""

    def __init__(self, layers: nn.LSTM | nn.GRU) -> None:
        super().__init__()
        self.embed = nn.Embedding(50, 24)
        self.layers = layers
        self.head = nn.Linear(2 * layers.hidden_size, 10)

    def forward(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        states, _ = self.layers(self.embed(ids))
        return torch.log_softmax(self.head(states), dim=-1), states


def _tagger(layers: nn.LSTM | nn.GRU) -> Network:
    return network(Tagger(layers), lambda: {"ids": torch.randint(50, (2, 12))})


RECURRENT: dict[str, Callable[[], Network]] = {
    "lstm": lambda: _tagger(nn.LSTM(24, 32, num_layers=2, bidirectional=True, batch_first=True)),
    "gru": lambda: _tagger(nn.GRU(24, 32, num_layers=2, bidirectional=True, batch_first=True)),
}
