"""Boxes cut out of images and resized."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from mlpress.ops.grid import SAMPLING_MODES, points
from mlpress.ops.op import op
from mlpress.ops.operands import check_choice

_BOXES: Final = (
    "CENTER_SIZE_HEIGHT_FIRST",
    "CENTER_SIZE_WIDTH_FIRST",
    "CORNERS_HEIGHT_FIRST",
    "CORNERS_WIDTH_FIRST",
)
_CROP: Final = (
    "target_height:int32 const?, target_width:int32 const?, normalized_coordinates:bool const?, "
    "spatial_scale:fp32 const?, box_coordinate_mode:string const?, sampling_mode:string const?"
)


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
