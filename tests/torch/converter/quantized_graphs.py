"""Networks as torch's own quantization (pt2e, fake quantization) leaves them."""

from __future__ import annotations

import torch
import torch.ao.quantization.fx._decomposed  # defines the operators of pt2e
from torch import Tensor, nn

INTEGERS = torch.ops.quantized_decomposed


class Decomposed(nn.Module):
    """A convolution of stored integers and a linear layer of rounded floats, between 8-bit activations."""

    def __init__(self, zero: int = 0) -> None:
        super().__init__()
        self.register_buffer("integers", torch.randint(-127, 128, (8, 4, 3, 3), dtype=torch.int8))
        self.register_buffer("scales", torch.rand(8) * 0.01 + 0.001)
        self.register_buffer("zeros", torch.full((8,), zero))
        self.bias = nn.Parameter(torch.randn(8))
        self.linear = nn.Parameter(torch.randn(5, 8) * 0.05)

    def forward(self, x: Tensor) -> Tensor:
        x = _codes(x, 0.02, 3, 0, 255, torch.uint8)
        channels = (self.scales, self.zeros, 0, -127, 127, torch.int8)
        weight = INTEGERS.dequantize_per_channel(self.integers, *channels)
        x = torch.relu(nn.functional.conv2d(x, weight, self.bias))
        x = _codes(x, 0.05, -128, -128, 127, torch.int8).mean((2, 3))
        return nn.functional.linear(x, _codes(self.linear, 0.02, 0, -8, 7, torch.int8))


class Faked(nn.Module):
    """The same with fake quantization, as it is while a network is trained."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.linear = nn.Conv2d(4, 8, 3), nn.Linear(8, 5, bias=False)
        self.register_buffer("scales", torch.rand(8) * 0.01 + 0.001)
        self.register_buffer("zeros", torch.zeros(8, dtype=torch.int32))

    def forward(self, x: Tensor) -> Tensor:
        x = torch.fake_quantize_per_tensor_affine(x, 0.02, 3, 0, 255)
        weight = torch.fake_quantize_per_channel_affine(
            self.conv.weight, self.scales, self.zeros, 0, -128, 127
        )
        x = torch.relu(nn.functional.conv2d(x, weight, self.conv.bias)).mean((2, 3))
        return nn.functional.linear(
            x, torch.fake_quantize_per_tensor_affine(self.linear.weight, 0.04, 0, -8, 7)
        )


def _codes(x: Tensor, scale: float, zero: int, low: int, high: int, dtype: torch.dtype) -> Tensor:
    grid = (scale, zero, low, high, dtype)
    rounded: Tensor = INTEGERS.dequantize_per_tensor(INTEGERS.quantize_per_tensor(x, *grid), *grid)
    return rounded
