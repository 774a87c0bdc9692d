"""Images (or volumes) resized and cropped: the last axes are sampled, all others are kept."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor

from mlpress.errors import InvalidProgramError
from mlpress.ops.grid import SAMPLING_MODES, axis_points, interpolate_linear
from mlpress.ops.op import op
from mlpress.ops.operands import check_choice

_LINEAR: Final = {1: "linear", 2: "bilinear", 3: "trilinear"}
_SCALES: Final = "x:T, scale_factor_height:U const?, scale_factor_width:U const?"


@op(CoreML5="x:T, crop_height:int32 const, crop_width:int32 const; T=fp16|fp32")
def crop(x: Tensor, crop_height: Sequence[int], crop_width: Sequence[int]) -> Tensor:
    """X without crop_height = (top, bottom) rows and crop_width = (left, right) columns."""
    (top, bottom), (left, right) = crop_height, crop_width
    return x[..., top : x.shape[-2] - bottom, left : x.shape[-1] - right]


@op(
    CoreML7="x:T, shape:U, resized_dims:uint32 const, interpolation_mode:string const?, "
    "sampling_mode:string const?; T=fp16|fp32|int32, U=int32|int16|uint16|uint32"
)
def resize(
    x: Tensor,
    shape: Sequence[int],
    resized_dims: int,
    interpolation_mode: str = "LINEAR",
    sampling_mode: str = "DEFAULT",
) -> Tensor:
    """The last `resized_dims` axes resized to the last sizes of `shape`, where 0 keeps a size."""
    check_choice("resize", "interpolation_mode", interpolation_mode, ("LINEAR", "NEAREST_NEIGHBOR"))
    check_choice("resize", "sampling_mode", sampling_mode, SAMPLING_MODES)
    if not resized_dims <= len(shape) <= x.dim():
        raise InvalidProgramError(
            f"resize: {resized_dims} of {len(shape)} sizes asked for, x has {x.dim()} axes"
        )
    asked = list(shape[len(shape) - resized_dims :])
    kept = x.shape[x.dim() - resized_dims :]
    sizes = [size or old for size, old in zip(asked, kept, strict=True)]
    if interpolation_mode == "NEAREST_NEIGHBOR":
        return _nearest(x, sizes, sampling_mode)
    if x.is_floating_point():
        return _linear(x, sizes, sampling_mode)
    return _linear(x.float(), sizes, sampling_mode).to(x.dtype)


@op(
    CoreML5="x:T, target_size_height:int32 const?, target_size_width:int32 const?, "
    "sampling_mode:string const?; T=fp16|fp32"
)
def resize_bilinear(
    x: Tensor, target_size_height: int = 1, target_size_width: int = 1, sampling_mode: str = "DEFAULT"
) -> Tensor:
    """Height and width resized, linear between elements, at the points of `mlpress.ops.grid.points`."""
    check_choice("resize_bilinear", "sampling_mode", sampling_mode, SAMPLING_MODES)
    return _linear(x, [target_size_height, target_size_width], sampling_mode)


@op(CoreML5="x:T, target_size_height:int32 const, target_size_width:int32 const; T=fp16|fp32")
def resize_nearest_neighbor(x: Tensor, target_size_height: int, target_size_width: int) -> Tensor:
    """Height and width resized; row i is row floor((i + 1/2) * old / new) of x, and columns alike."""
    return _nearest(x, [target_size_height, target_size_width], "DEFAULT")


@op(
    CoreML5=f"{_SCALES}, align_corners:bool const?; T=fp16|fp32, U=int32|fp32",
    CoreML6=f"{_SCALES}, align_corners:bool const?, half_pixel_centers:bool const?; "
    "T=fp16|fp32, U=int32|fp32",
)
def upsample_bilinear(
    x: Tensor,
    scale_factor_height: float = 1,
    scale_factor_width: float = 1,
    align_corners: bool = True,
    half_pixel_centers: bool | None = None,
) -> Tensor:
    """Height and width scaled, to whole numbers rounded down, linear between elements.

    `half_pixel_centers` is the opposite of `align_corners` unless it is given.
    """
    half_pixel = not align_corners if half_pixel_centers is None else half_pixel_centers
    if align_corners and half_pixel:
        raise InvalidProgramError(
            "upsample_bilinear: align_corners and half_pixel_centers exclude each other"
        )
    mode = "STRICT_ALIGN_CORNERS" if align_corners else "UNALIGN_CORNERS" if half_pixel else "DEFAULT"
    return _linear(x, _scaled(x, scale_factor_height, scale_factor_width), mode)


@op(CoreML5=f"{_SCALES}; T=fp16|fp32, U=fp32|int32")
def upsample_nearest_neighbor(
    x: Tensor, scale_factor_height: float = 1, scale_factor_width: float = 1
) -> Tensor:
    """Height and width scaled, to whole numbers rounded down; row i is row floor(i * old / new) of x."""
    return _by_torch(x, _scaled(x, scale_factor_height, scale_factor_width), mode="nearest")


def _scaled(x: Tensor, height: float, width: float) -> list[int]:
    return [_scaled_size(x.shape[-2], height), _scaled_size(x.shape[-1], width)]


def _scaled_size(size: int, scale: float) -> int:
    if scale == int(scale):
        return size * int(scale)
    # A scale is a float32: 5 * 2.6 is 13, not a little less.
    return math.floor(size * scale * (1 + 2**-24))


def _linear(x: Tensor, sizes: Sequence[int], mode: str) -> Tensor:
    aligned = mode == "STRICT_ALIGN_CORNERS" or (mode == "ALIGN_CORNERS" and 1 not in sizes)
    if len(sizes) in _LINEAR and (aligned or mode == "UNALIGN_CORNERS"):
        return _by_torch(x, sizes, mode=_LINEAR[len(sizes)], align_corners=aligned)
    for axis, size in enumerate(sizes, x.dim() - len(sizes)):
        x = interpolate_linear(x, axis, axis_points(x, axis, size, mode))
    return x


def _nearest(x: Tensor, sizes: Sequence[int], mode: str) -> Tensor:
    """Takes the elements that the middles of the new ones lie in; in other modes those nearest to the points.

    Core ML's default is the half-pixel grid here, unlike between elements: 2 rows make 3 by [0, 1, 1].
    """
    for axis, size in enumerate(sizes, x.dim() - len(sizes)):
        old = x.shape[axis]
        if mode == "DEFAULT":
            source = (2 * torch.arange(size, device=x.device) + 1) * old // (2 * size)
        else:
            source = (axis_points(x, axis, size, mode) + 0.5).floor().long().clamp(max=old - 1)
        x = x.index_select(axis, source)
    return x


def _by_torch(x: Tensor, sizes: Sequence[int], **options: Any) -> Tensor:
    dims = len(sizes)
    images = x if x.dim() == dims + 2 else x.reshape(-1, 1, *x.shape[x.dim() - dims :])
    resized = F.interpolate(images, list(sizes), **options)
    return resized if images is x else resized.reshape(*x.shape[: x.dim() - dims], *sizes)
