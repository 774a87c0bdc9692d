"""Images sampled at points that tensors name."""

from __future__ import annotations

from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

from mlpress.errors import UnsupportedModelError
from mlpress.ops.grid import SAMPLING_MODES, points
from mlpress.ops.op import op
from mlpress.ops.operands import check_choice

_COORDINATES: Final = ("normalized_minus_one_to_one", "normalized_zero_to_one", "unnormalized")
_PADDING: Final = {
    "constant": "zeros",
    "border": "border",
    "reflection": "reflection",
    "symmetric": "reflection",
}
_BOXES: Final = (
    "CENTER_SIZE_HEIGHT_FIRST",
    "CENTER_SIZE_WIDTH_FIRST",
    "CORNERS_HEIGHT_FIRST",
    "CORNERS_WIDTH_FIRST",
)
_RESAMPLE: Final = (
    "x:T, coordinates:U, sampling_mode:string const, padding_mode:string const, padding_value:T const, "
    "coordinates_mode:string const, align_corners:bool const; T=fp16|fp32"
)
_CROP: Final = (
    "target_height:int32 const?, target_width:int32 const?, normalized_coordinates:bool const?, "
    "spatial_scale:fp32 const?, box_coordinate_mode:string const?, sampling_mode:string const?"
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


@op(
    "crop_resize",
    CoreML5=f"x:T, roi:T, {_CROP}; T=fp16|fp32",
    CoreML6=f"x:T, roi:T, {_CROP}, pad_value:T const?; T=fp16|fp32",
)
def crop_resize_rois(
    x: Tensor,
    roi: Tensor,
    target_height: int = 1,
    target_width: int = 1,
    normalized_coordinates: bool = False,
    spatial_scale: float = 1.0,
    box_coordinate_mode: str = "CORNERS_HEIGHT_FIRST",
    sampling_mode: str = "DEFAULT",
    pad_value: float = 0.0,
) -> Tensor:
    """Boxes `roi` of x [B, C, H, W], resized as `crop_resize` of iOS 17 does.

    [N, 1, 4, 1, 1] takes each box from each image: [N, B, C, height, width]. [N, 1, 5, 1, 1] holds an index
    of an image before the box: [N, 1, C, height, width].
    """
    rows = roi.flatten(1)
    images = x.shape[0]
    if rows.shape[1] == 5:
        indices, boxes, shared = rows[:, 0], rows[:, 1:], 1
    else:
        indices = torch.arange(images, device=x.device).repeat(rows.shape[0])
        boxes, shared = rows.repeat_interleave(images, 0), images
    crops = crop_resize(
        x,
        boxes,
        indices,
        target_height,
        target_width,
        normalized_coordinates,
        spatial_scale,
        box_coordinate_mode,
        sampling_mode,
        pad_value,
    )
    return crops.reshape(-1, shared, *crops.shape[1:])


@op(
    CoreML7=f"x:T, boxes:BOX_T, box_indices:BOX_INDEX_T?, {_CROP}, pad_value:T const?; "
    "T=fp16|fp32, BOX_T=fp16|fp32|uint16, BOX_INDEX_T=uint16|int32"
)
def crop_resize(
    x: Tensor,
    boxes: Tensor,
    box_indices: Tensor | None = None,
    target_height: int = 1,
    target_width: int = 1,
    normalized_coordinates: bool = False,
    spatial_scale: float = 1.0,
    box_coordinate_mode: str = "CORNERS_HEIGHT_FIRST",
    sampling_mode: str = "DEFAULT",
    pad_value: float = 0.0,
) -> Tensor:
    """Boxes [N, 4] of the images `box_indices` (first N) of x [B, C, H, W], resized: [N, C, height, width].

    Bilinear on the grid of `mlpress.ops.grid.points` between the corners of the box. A point outside of the
    image is `pad_value`. Coordinates are multiplied by `spatial_scale`, normalized ones by size - 1, too.
    """
    check_choice("crop_resize", "box_coordinate_mode", box_coordinate_mode, _BOXES)
    check_choice("crop_resize", "sampling_mode", sampling_mode, SAMPLING_MODES)
    height, width = x.shape[-2:]
    top, bottom, left, right = _corners(boxes.to(x.dtype) * spatial_scale, box_coordinate_mode)
    if normalized_coordinates:
        top, bottom = top * (height - 1), bottom * (height - 1)
        left, right = left * (width - 1), right * (width - 1)
    rows = points(top, bottom, target_height, sampling_mode)
    columns = points(left, right, target_width, sampling_mode)
    images = x[: boxes.shape[0]] if box_indices is None else x.index_select(0, box_indices.long())
    patches = _interpolated(_interpolated(images, rows, -2), columns, -1)
    inside_rows = (rows >= 0) & (rows <= height - 1)
    inside_columns = (columns >= 0) & (columns <= width - 1)
    inside = inside_rows[:, None, :, None] & inside_columns[:, None, None, :]
    return torch.where(inside, patches, torch.full((), pad_value, dtype=x.dtype, device=x.device))


def _corners(boxes: Tensor, mode: str) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Returns top, bottom, left and right of each box."""
    a, b, c, d = boxes.unbind(1)
    if mode.startswith("CENTER_SIZE"):
        a, b, c, d = a - c / 2, b - d / 2, a + c / 2, b + d / 2
    return (a, c, b, d) if mode.endswith("HEIGHT_FIRST") else (b, d, a, c)


def _interpolated(images: Tensor, grid: Tensor, axis: int) -> Tensor:
    """Returns images [N, C, H, W] at the points `grid` [N, P] along `axis`, each image at its own."""
    last = images.shape[axis] - 1
    low = grid.floor().clamp(0, last)
    shape = [grid.shape[0], 1, 1, 1]
    shape[axis] = grid.shape[1]
    sizes = list(images.shape)
    sizes[axis] = grid.shape[1]
    weight = (grid - low).reshape(shape)
    first = low.long().reshape(shape).expand(sizes)
    second = (low + 1).clamp(max=last).long().reshape(shape).expand(sizes)
    return torch.lerp(images.gather(axis, first), images.gather(axis, second), weight)


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
