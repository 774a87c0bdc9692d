"""Networks for images and videos that only the conversion zoo has: coremltools fails on some of them."""

from __future__ import annotations

from collections.abc import Callable

import timm
import torch
import transformers as hf
from torch import nn
from torchvision import models

from tests.zoo.language import Wrapped
from tests.zoo.network import Network, network
from tests.zoo.vision import Logits


def _image(module: nn.Module, size: int) -> Network:
    return network(module, lambda: {"image": torch.randn(1, 3, size, size)})


def _video(module: nn.Module) -> Network:
    return network(module, lambda: {"video": torch.randn(1, 3, 4, 32, 32)})


_SIZES = {
    "image_size": 32,
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 128,
    "initializer_range": 0.1,
}


def hf_vit() -> Network:
    model = hf.ViTModel(hf.ViTConfig(**_SIZES, patch_size=8))
    return _image(Wrapped(model, ("pixel_values",), ("last_hidden_state", "pooler_output")), 32)


def segformer() -> Network:
    config = hf.SegformerConfig(
        depths=[1, 1, 1, 1],
        hidden_sizes=[16, 32, 48, 64],
        num_attention_heads=[1, 2, 3, 4],
        decoder_hidden_size=32,
        num_labels=5,
        initializer_range=0.1,
    )
    model = hf.SegformerForSemanticSegmentation(config)
    return _image(Wrapped(model, ("pixel_values",), ("logits",)), 64)


def sam_encoder() -> Network:
    """Attention in windows and over the whole image, with relative positions."""
    config = hf.SamVisionConfig(
        hidden_size=64,
        output_channels=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        image_size=64,
        patch_size=8,
        window_size=3,
        global_attn_indexes=[1],
        mlp_dim=128,
        initializer_range=0.1,
    )
    model = hf.SamVisionModel(config)
    return _image(Wrapped(model, ("pixel_values",), ("last_hidden_state",)), 64)


_TIMM = {
    "coatnet_nano_rw_224": 224,
    "convnextv2_atto": 64,
    "edgenext_xx_small": 64,
    "efficientvit_b0": 64,
    "fastvit_t8": 64,
    "ghostnet_100": 64,
    "hrnet_w18_small": 64,
    "levit_128s": 224,
    "mixer_s32_224": 224,
    "mobilenetv4_conv_small": 64,
    "mobilevitv2_050": 64,
    "poolformer_s12": 64,
    "repvgg_a0": 64,
}
"""Families of timm, and the size of their images."""


def _timm(name: str, size: int) -> Callable[[], Network]:
    return lambda: _image(timm.create_model(name, pretrained=False), size)


MORE_VISION: dict[str, Callable[[], Network]] = {
    "mobilenet_v2": lambda: _image(models.mobilenet_v2(), 64),
    "regnet_y_400mf": lambda: _image(models.regnet_y_400mf(), 64),
    "densenet121": lambda: _image(models.densenet121(), 64),
    "squeezenet1_1": lambda: _image(models.squeezenet1_1(), 64),
    "inception_v3": lambda: _image(models.inception_v3(aux_logits=False, init_weights=False), 96),
    "swin_v2_t": lambda: _image(models.swin_v2_t(), 64),
    "maxvit_t": lambda: _image(models.maxvit_t(), 224),
    "fcn_resnet50": lambda: _image(Logits(models.segmentation.fcn_resnet50(weights_backbone=None)), 64),
    "r3d_18": lambda: _video(models.video.r3d_18()),
    "hf_vit": hf_vit,
    "segformer": segformer,
    "sam_encoder": sam_encoder,
    **{name: _timm(name, size) for name, size in _TIMM.items()},
}
