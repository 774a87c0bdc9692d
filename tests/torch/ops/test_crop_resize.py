"""Crops against numbers that Core ML documents, and against resizing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mlpress.ops.crop_resize import crop_resize, crop_resize_rois
from mlpress.ops.image import resize_bilinear
from tests.torch.ops.draws import seeded, seeds, tensor
from tests.torch.ops.test_image import MODES, point
from tests.torch.ops.test_sample import sampled

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


sides = st.integers(1, 5)


@given(sides, sides, sides, sides, st.sampled_from(MODES), st.booleans(), seeds)
@settings(max_examples=80, deadline=None)
def test_crops_are_sampled_point_by_point(
    height: int, width: int, new_height: int, new_width: int, mode: str, normalized: bool, seed: int
) -> None:
    x = seeded(seed, 2, 3, height, width)
    random = np.random.default_rng(seed)
    corners = np.sort(random.uniform(-0.5, 1.2, (4, 2, 2)), axis=1) * [height, width]
    boxes = corners.reshape(4, 4).astype(np.float32)  # top, left, bottom, right
    indices = random.integers(0, 2, 4).astype(np.int32)
    asked = (new_height, new_width, normalized, 1.0, "CORNERS_HEIGHT_FIRST", mode, 7.0)
    result = crop_resize(tensor(x), tensor(boxes), tensor(indices), *asked)
    assert result.shape == (4, 3, new_height, new_width)
    scale = [height - 1, width - 1] if normalized else [1, 1]
    for n, i, j in np.ndindex(4, new_height, new_width):
        top, left, bottom, right = boxes[n].astype(float) * [*scale, *scale]
        row = top + point(i, bottom - top + 1, new_height, mode)
        column = left + point(j, right - left + 1, new_width, mode)
        inside = 0 <= row <= height - 1 and 0 <= column <= width - 1
        expected = sampled(x[indices[n]], row, column, "border", 0) if inside else [7.0] * 3
        np.testing.assert_allclose(result[n, :, i, j], expected, rtol=0, atol=1e-4)


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


@given(st.integers(1, 3), st.integers(1, 3), st.tuples(sides, sides), st.tuples(sides, sides), seeds)
@settings(max_examples=30, deadline=None)
def test_regions_of_older_opsets(
    images: int, count: int, size: tuple[int, int], target: tuple[int, int], seed: int
) -> None:
    x, random = tensor(seeded(seed, images, 3, *size)), np.random.default_rng(seed)
    boxes = tensor(random.uniform(0, 4, (count, 4)).astype(np.float32))
    every = crop_resize_rois(x, boxes.reshape(count, 1, 4, 1, 1), *target)
    assert every.shape == (count, images, 3, *target)
    for image in range(images):
        indices = torch.full((count,), image)
        torch.testing.assert_close(every[:, image], crop_resize(x, boxes, indices, *target))
    chosen = torch.from_numpy(random.integers(0, images, count))
    named = torch.cat([chosen[:, None].float(), boxes], 1).reshape(count, 1, 5, 1, 1)
    one = crop_resize_rois(x, named, *target)
    assert one.shape == (count, 1, 3, *target)
    torch.testing.assert_close(one[:, 0], every[torch.arange(count), chosen])
