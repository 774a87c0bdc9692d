"""Small networks, one for each thing that capturing has to get right."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional

Tensor = torch.Tensor


@dataclass(frozen=True)
class Network:
    make: Callable[[], nn.Module]
    inputs: tuple[Any, ...]
    tolerance: float = 0
    traceable: bool = True


class Residual(nn.Module):
    """Convolutions and changes in place, as in a ResNet."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
        self.conv2 = nn.Conv2d(8, 8, 3, padding="same")
        self.head = nn.Linear(8, 4)
        self.dropout = nn.Dropout()

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu_(self.bn1(self.conv1(x)))
        y = self.conv2(x)
        y += x
        y = functional.adaptive_avg_pool2d(functional.hardswish(y, inplace=True), 1)
        return self.head(self.dropout(torch.flatten(y, 1).contiguous()))


class Attention(nn.Module):
    """Attention written out, with a mask computed from constants and positions from a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.out, self.norm = nn.Linear(8, 24), nn.Linear(8, 8), nn.LayerNorm(8)
        self.register_buffer("frequencies", torch.rand(4), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        batch, length, width = x.shape
        angles = torch.outer(torch.arange(length).float(), self.frequencies)
        q, k, v = self.qkv(self.norm(x) + torch.cat([angles.cos(), angles.sin()], -1)).chunk(3, -1)
        q, k, v = (t.view(batch, length, 2, width // 2).transpose(1, 2) for t in (q, k, v))
        mask = torch.ones(length, length, dtype=torch.bool).tril()
        y = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return x + self.out(y.transpose(1, 2).reshape(batch, length, width))


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, activation="gelu")

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)


class Recurrent(nn.Module):
    def __init__(self, kind: type[nn.RNNBase]) -> None:
        super().__init__()
        self.embed = nn.Embedding(10, 4)
        self.layer = kind(4, 6, 2, batch_first=True, bidirectional=True)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.layer(self.embed(tokens))[0]


class Cache(nn.Module):
    """Two buffers that change: one by `index_copy_`, one by assignment to a slice."""

    def __init__(self) -> None:
        super().__init__()
        self.project = nn.Linear(4, 4)
        self.register_buffer("keys", torch.zeros(1, 5, 4))
        self.register_buffer("values", torch.zeros(1, 5, 4))

    def forward(self, x: Tensor, position: Tensor) -> Tensor:
        self.keys.index_copy_(1, position, self.project(x))
        self.values[:, position] = x * 2
        return (self.keys * self.values).sum(1)


class Shared(nn.Module):
    """One layer and one weight under two names, a parameter and compression buffers that nothing uses."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.head = nn.Embedding(6, 4), nn.Linear(4, 6, bias=False)
        self.head.weight = self.embed.weight
        self.first = self.second = nn.Linear(4, 4)
        self.unused = nn.Parameter(torch.zeros(2))
        self.register_buffer("_COREML_/metadata_version", torch.tensor(1))
        self.first.register_buffer("_COREML_/weight/compression_type", torch.tensor([3]))
        self.first.register_buffer("_COREML_/weight/quantization_scale", torch.ones(4, 1))

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.second(self.first(self.embed(tokens))))


class Structured(nn.Module):
    """Nested inputs and outputs; among the latter an input and one result twice."""

    def forward(self, pair: tuple[Tensor, Tensor], scale: Tensor) -> Any:
        a, b = pair
        total = a + b
        return {"total": total, "parts": (a * scale, b - scale), "same": total, "given": b}


class Views(nn.Module):
    """Changes that show through views."""

    def forward(self, x: Tensor) -> Tensor:
        y = x * 2
        first = y[:, 0]
        first += 1
        y[:, 1:].mul_(3)
        y.view(-1)[2] = 7
        y.transpose(0, 1)[3].zero_()
        z = y.clone()
        z.add_(torch.ones(1, dtype=torch.float64))
        return y + z + first[:, None]


class Integers(nn.Module):
    def forward(self, x: Tensor, index: Tensor) -> Tensor:
        x = x + torch.tensor([1, 2, 3, 4], dtype=x.dtype)
        picked = x[:, index] if index.ndim else x
        return torch.where(picked > 2, picked // 2, -picked).cumsum(1)


class Upsampled(nn.Module):
    """What sizes compute: interpolation to the size of another tensor, reshapes by half the size."""

    def __init__(self) -> None:
        super().__init__()
        self.down, self.up = nn.Conv2d(2, 4, 3, 2, 1), nn.ConvTranspose2d(4, 2, 2, 2)

    def forward(self, x: Tensor) -> Tensor:
        y = functional.silu(self.down(x), inplace=True)
        z = functional.interpolate(y, size=x.shape[-2:], mode="bilinear")
        halves = self.up(y).view(x.shape[0], 2, x.shape[2], x.shape[3] // 2, 2).mean(-1)
        return functional.pixel_shuffle(z, 2).sum((1, 3)) + halves.sum()


NETWORKS = {
    "residual": Network(Residual, (torch.randn(2, 3, 8, 8),)),
    "attention": Network(Attention, (torch.randn(2, 5, 8),)),
    "encoder": Network(Encoder, (torch.randn(2, 5, 8),), tolerance=1e-5),  # runs a fused kernel
    "lstm": Network(lambda: Recurrent(nn.LSTM), (torch.tensor([[1, 2, 3]]),)),
    "gru": Network(lambda: Recurrent(nn.GRU), (torch.tensor([[1, 2, 3]]),)),
    "cache": Network(Cache, (torch.randn(1, 1, 4), torch.tensor([2]))),
    "shared": Network(Shared, (torch.tensor([[1, 5]]),)),
    "structured": Network(Structured, ((torch.randn(2), torch.randn(2)), torch.randn(2)), traceable=False),
    "views": Network(Views, (torch.randn(2, 4),)),
    "integers": Network(Integers, (torch.arange(8).reshape(2, 4), torch.tensor([3, 0]))),
    "upsampled": Network(Upsampled, (torch.randn(2, 2, 8, 8),)),
}


def made(name: str) -> nn.Module:
    torch.manual_seed(0)
    return NETWORKS[name].make().eval()
