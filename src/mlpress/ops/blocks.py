"""Blocks of the height and width of an image moved into its channels or its batch, and back."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from mlpress.ops.op import op


@op(CoreML5="x:T, block_size:int32 const; T=fp16|fp32")
def depth_to_space(x: Tensor, block_size: int) -> Tensor:
    """[n, b*b*C, H, W] to [n, C, H*b, W*b]; the place in the block is the slow part of the channel."""
    n, channels, height, width = x.shape
    blocks = x.reshape(n, block_size, block_size, channels // block_size**2, height, width)
    return blocks.permute(0, 3, 4, 1, 5, 2).reshape(n, -1, height * block_size, width * block_size)


@op(CoreML5="x:T, block_size:int32 const; T=fp16|fp32")
def space_to_depth(x: Tensor, block_size: int) -> Tensor:
    """[n, C, H*b, W*b] to [n, b*b*C, H, W]: undoes `depth_to_space`."""
    n, channels, height, width = x.shape
    blocks = x.reshape(n, channels, height // block_size, block_size, width // block_size, block_size)
    return blocks.permute(0, 3, 5, 1, 2, 4).reshape(n, -1, height // block_size, width // block_size)


@op(CoreML5="x:T, upscale_factor:int32 const; T=fp16|fp32")
def pixel_shuffle(x: Tensor, upscale_factor: int) -> Tensor:
    """[n, C*f*f, H, W] to [n, C, H*f, W*f]; the place in the block is the fast part of the channel."""
    return F.pixel_shuffle(x, upscale_factor)


@op(CoreML6="x:T, downscale_factor:uint32 const; T=fp16|fp32")
def pixel_unshuffle(x: Tensor, downscale_factor: int) -> Tensor:
    """[n, C, H*f, W*f] to [n, C*f*f, H, W]: undoes `pixel_shuffle`."""
    return F.pixel_unshuffle(x, downscale_factor)


@op(CoreML5="x:T, block_shape:int32 const, paddings:int32 const; T=fp16|fp32")
def space_to_batch(x: Tensor, block_shape: Sequence[int], paddings: Sequence[Sequence[int]]) -> Tensor:
    """Pads height and width with zeros; [n, C, H*h, W*w] to [h*w*n, C, H, W]."""
    (top, bottom), (left, right) = paddings
    down, across = block_shape
    padded = F.pad(x, (left, right, top, bottom))
    n, channels, height, width = padded.shape
    blocks = padded.reshape(n, channels, height // down, down, width // across, across)
    return blocks.permute(3, 5, 0, 1, 2, 4).reshape(-1, channels, height // down, width // across)


@op(CoreML5="x:T, block_shape:int32 const, crops:int32 const; T=fp16|fp32")
def batch_to_space(x: Tensor, block_shape: Sequence[int], crops: Sequence[Sequence[int]]) -> Tensor:
    """[h*w*n, C, H, W] to [n, C, H*h, W*w], then cuts `crops` off height and width."""
    (top, bottom), (left, right) = crops
    down, across = block_shape
    n, channels, height, width = x.shape
    blocks = x.reshape(down, across, n // (down * across), channels, height, width)
    whole = blocks.permute(2, 3, 4, 0, 5, 1).reshape(-1, channels, height * down, width * across)
    return whole[:, :, top : height * down - bottom, left : width * across - right]
