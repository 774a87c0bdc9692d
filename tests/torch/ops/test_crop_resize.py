"""Crops against numbers that Core ML documents, and against resizing."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mlpress.ops.crop_resize import crop_resize, crop_resize_rois
from mlpress.ops.image import resize_bilinear

SQUARE = torch.arange(1.0, 17.0).reshape(1, 1, 4, 4)


@pytest.mark.parametrize(
    "box, size, expected",
    [
        ([1, 1, 2, 2], 2, [6, 7, 10, 11]),
        ([1, 1, 2, 2], 1, [8.5]),
        ([2, 2, 1, 1], 2, [11, 10, 7, 6]),
        ([1, 1, 2, 2], 3, [6, 6.5, 7, 8, 8.5, 9, 10, 10.5, 11]),
    ],
)
def test_crops_that_core_ml_tests(box: list[float], size: int, expected: list[float]) -> None:
    result = crop_resize(SQUARE, torch.tensor([box]).float(), None, size, size, sampling_mode="ALIGN_CORNERS")
    assert result.flatten().tolist() == expected


def test_crops_beyond_the_image_are_padded() -> None:
    boxes = torch.tensor([[0.1, 0.3, 1.3, 1.0], [0.5, 1.8, 1.0, 0.3], [0.0, 0.4, 0.6, 0.7]])
    given = (2, 2, True, 1.0, "CORNERS_HEIGHT_FIRST", "ALIGN_CORNERS", 10.0)
    result = crop_resize(SQUARE, boxes, torch.zeros(3, dtype=torch.int32), *given)
    expected = [3.1, 5.2, 10, 10, 10, 7.9, 10, 13.9, 2.2, 3.1, 9.4, 10.3]
    np.testing.assert_allclose(result.flatten(), expected, rtol=1e-6)


@pytest.mark.parametrize("mode", ["ALIGN_CORNERS", "DEFAULT", "OFFSET_CORNERS", "UNALIGN_CORNERS"])
@pytest.mark.parametrize("normalized", [False, True])
def test_a_crop_of_all_of_the_image_is_a_resize(mode: str, normalized: bool) -> None:
    x = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    whole = [0.0, 0.0, 1.0, 1.0] if normalized else [0.0, 0.0, 3.0, 4.0]
    cropped = crop_resize(x, torch.tensor([whole, whole]), None, 7, 3, normalized, sampling_mode=mode)
    torch.testing.assert_close(cropped, resize_bilinear(x, 7, 3, mode), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "mode, box",
    [
        ("CORNERS_WIDTH_FIRST", [1.0, 0.0, 4.0, 2.0]),
        ("CENTER_SIZE_HEIGHT_FIRST", [1.0, 2.5, 2.0, 3.0]),
        ("CENTER_SIZE_WIDTH_FIRST", [2.5, 1.0, 3.0, 2.0]),
    ],
)
def test_ways_to_write_a_box(mode: str, box: list[float]) -> None:
    x = torch.randn(1, 2, 4, 5, generator=torch.Generator().manual_seed(0))
    corners = crop_resize(x, torch.tensor([[0.0, 1.0, 2.0, 4.0]]), None, 3, 2)
    torch.testing.assert_close(
        crop_resize(x, torch.tensor([box]), None, 3, 2, box_coordinate_mode=mode), corners
    )
    halves = crop_resize(x, torch.tensor([box]) * 2, None, 3, 2, spatial_scale=0.5, box_coordinate_mode=mode)
    torch.testing.assert_close(halves, corners)


def test_regions_of_older_opsets() -> None:
    x = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    boxes = torch.tensor([[0.0, 1.0, 2.0, 4.0], [1.0, 1.0, 3.0, 3.0], [0.5, 0.5, 1.0, 1.0]])
    every = crop_resize_rois(x, boxes.reshape(3, 1, 4, 1, 1), 2, 3)
    assert every.shape == (3, 2, 3, 2, 3)
    for image in range(2):
        indices = torch.full((3,), image)
        torch.testing.assert_close(every[:, image], crop_resize(x, boxes, indices, 2, 3))
    named = torch.cat([torch.tensor([[1.0], [0.0], [1.0]]), boxes], 1).reshape(3, 1, 5, 1, 1)
    one = crop_resize_rois(x, named, 2, 3)
    assert one.shape == (3, 1, 3, 2, 3)
    torch.testing.assert_close(one[:, 0], every[torch.arange(3), torch.tensor([1, 0, 1])])
