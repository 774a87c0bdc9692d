"""Networks for images: those of torchvision, and a UNet made here."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision import models

from tests.zoo.network import Network, network


class Logits(nn.Module):
    """The output ``out`` of a segmentation network alone."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor) -> Tensor:
        return self.model(image)["out"]


class UNet(nn.Module):
    """Two steps down and up again: transposed convolutions, bilinear upsampling, group normalization."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.ModuleList([_block(3, 16), _block(16, 32), _block(32, 64)])
        self.up = nn.ModuleList(
            [nn.ConvTranspose2d(64, 32, 2, stride=2), nn.ConvTranspose2d(32, 16, 3, 2, 1, output_padding=1)]
        )
        self.merge = nn.ModuleList([_block(64, 32), _block(32, 16)])
        self.head = nn.Conv2d(16, 4, 1)

    def forward(self, image: Tensor) -> Tensor:
        high = self.down[0](image)
        middle = self.down[1](functional.max_pool2d(high, 2))
        x = self.down[2](functional.avg_pool2d(middle, 2))
        x = self.merge[0](torch.cat([self.up[0](x), middle], dim=1))
        x = self.merge[1](torch.cat([self.up[1](x), high], dim=1))
        x = functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
        return torch.sigmoid(self.head(x))


def _block(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1),
        nn.GroupNorm(8, outputs),
        nn.SiLU(),
        nn.Conv2d(outputs, outputs, 3, padding=2, dilation=2),
        nn.LeakyReLU(0.2),
    )


def _image(module: nn.Module, size: int) -> Network:
    return network(module, lambda: {"image": torch.randn(1, 3, size, size)})


VISION: dict[str, Callable[[], Network]] = {
    "resnet50": lambda: _image(models.resnet50(), 224),
    "mobilenet_v3": lambda: _image(models.mobilenet_v3_large(), 224),
    "efficientnet_b0": lambda: _image(models.efficientnet_b0(), 224),
    "vit_b_16": lambda: _image(models.vit_b_16(), 224),
    "swin_t": lambda: _image(models.swin_t(), 224),
    "convnext_tiny": lambda: _image(models.convnext_tiny(), 224),
    "deeplab_v3": lambda: _image(
        Logits(models.segmentation.deeplabv3_mobilenet_v3_large(weights_backbone=None)), 224
    ),
    "shufflenet_v2": lambda: _image(models.shufflenet_v2_x1_0(), 224),
    "unet": lambda: _image(UNet(), 32),
}
