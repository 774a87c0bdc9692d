"""Images sampled at points that tensors name."""

from __future__ import annotations

from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

from mlpress.errors import UnsupportedModelError
from mlpress.ops.op import op
from mlpress.ops.operands import check_choice

_COORDINATES: Final = ("normalized_minus_one_to_one", "normalized_zero_to_one", "unnormalized")
_PADDING: Final = {
    "constant": "zeros",
    "border": "border",
    "reflection": "reflection",
    "symmetric": "reflection",
}
_RESAMPLE: Final = (
    "x:T, coordinates:U, sampling_mode:string const, padding_mode:string const, padding_value:T const, "
    "coordinates_mode:string const, align_corners:bool const; T=fp16|fp32"
)


@op(
    CoreML5="x:T, transform_matrix:T, output_height:int32 const, output_width:int32 const, "
    "sampling_mode:string const, padding_mode:string const, padding_value:T const, "
    "coordinates_mode:string const, align_corners:bool const; T=fp16|fp32"
)
def affine(
    x: Tensor,
    transform_matrix: Tensor,
    output_height: int,
    output_width: int,
    sampling_mode: str,
    padding_mode: str,
    padding_value: float,
    coordinates_mode: str,
    align_corners: bool,
) -> Tensor:
    """X at (a0 * x + a1 * y + a2, b0 * x + b1 * y + b2), for a row [a0, a1, a2, b0, b1, b2] for each image.

    Only what Core ML has: bilinear, zeros outside, coordinates from -1 to 1.
    """
    asked = (sampling_mode.lower(), padding_mode.lower(), padding_value, coordinates_mode.lower())
    if asked != ("bilinear", "constant", 0.0, "normalized_minus_one_to_one"):
        raise UnsupportedModelError(
            f"affine: {asked} is not known to Core ML; "
            "allowed: bilinear, constant, 0.0, normalized_minus_one_to_one"
        )
    batch, channels = x.shape[:2]
    matrix = transform_matrix.reshape(-1, 2, 3).expand(batch, 2, 3)
    grid = torch.affine_grid_generator(matrix, [batch, channels, output_height, output_width], align_corners)
    return F.grid_sample(x, grid, "bilinear", "zeros", align_corners)


@op(
    CoreML5=f"{_RESAMPLE}, U=int32|fp32",
    CoreML6=f"{_RESAMPLE}, U=int32|fp16|fp32",
    CoreML7=f"{_RESAMPLE}, U=int8|uint8|int16|uint16|int32|fp16|fp32",
)
def resample(
    x: Tensor,
    coordinates: Tensor,
    sampling_mode: str,
    padding_mode: str,
    padding_value: float,
    coordinates_mode: str,
    align_corners: bool,
) -> Tensor:
    """X [B, C, H, W] at the points (x, y) of `coordinates` [B, h, w, 2].

    Outside of the image is `padding_value`, its ``border``, or the image mirrored, without its border
    (``reflection``) or with it (``symmetric``).
    """
    check_choice("resample", "sampling_mode", sampling_mode, ("bilinear", "nearest"))
    check_choice("resample", "padding_mode", padding_mode, tuple(_PADDING))
    check_choice("resample", "coordinates_mode", coordinates_mode, _COORDINATES)
    at = coordinates.to(x.dtype)
    if coordinates_mode == "normalized_zero_to_one":
        at = 2 * at - 1
    if coordinates_mode == "unnormalized":
        edges = padding_mode == "reflection"
        at = _normalized(at, x, edges)
    else:
        # Torch's reflection mirrors with or without the border depending on what -1 and 1 are.
        edges = {"reflection": True, "symmetric": False}.get(padding_mode, align_corners)
        at = at if edges == align_corners else _normalized(_pixels(at, x, align_corners), x, edges)
    offset = padding_value if padding_mode == "constant" else 0.0
    image = x - offset if offset else x
    sampled = F.grid_sample(image, at, sampling_mode, _PADDING[padding_mode], edges)
    return sampled + offset if offset else sampled


def _pixels(at: Tensor, x: Tensor, align_corners: bool) -> Tensor:
    """Returns positions in elements for coordinates from -1 to 1."""
    sizes = _sizes(at, x)
    return (at + 1) / 2 * (sizes - 1) if align_corners else ((at + 1) * sizes - 1) / 2


def _normalized(at: Tensor, x: Tensor, align_corners: bool) -> Tensor:
    """Undoes `_pixels`."""
    sizes = _sizes(at, x)
    return 2 * at / (sizes - 1).clamp(min=1) - 1 if align_corners else (2 * at + 1) / sizes - 1


def _sizes(at: Tensor, x: Tensor) -> Tensor:
    """Returns [width, height]."""
    full = torch.full((), 1, dtype=at.dtype, device=at.device)
    return torch.stack((full * x.shape[-1], full * x.shape[-2]))
