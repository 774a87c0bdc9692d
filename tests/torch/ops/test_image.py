"""Resizing against interpolation by loops on points written down from the definition, and against torch."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from mlpress.errors import InvalidProgramError
from mlpress.ops.image import (
    crop,
    resize,
    resize_bilinear,
    resize_nearest_neighbor,
    upsample_bilinear,
    upsample_nearest_neighbor,
)

MODES = ("ALIGN_CORNERS", "DEFAULT", "OFFSET_CORNERS", "STRICT_ALIGN_CORNERS", "UNALIGN_CORNERS")


def point(i: int, old: int, new: int, mode: str) -> float:
    """Returns where element i of `new` elements lies among `old`."""
    at = {
        "STRICT_ALIGN_CORNERS": i * (old - 1) / max(new - 1, 1),
        "ALIGN_CORNERS": i * (old - 1) / (new - 1) if new > 1 else (old - 1) / 2,
        "DEFAULT": i * old / new,
        "OFFSET_CORNERS": (i + 0.5) * max(1, old - 1) / new,
        "UNALIGN_CORNERS": (i + 0.5) * old / new - 0.5,
    }[mode]
    return min(max(at, 0.0), old - 1.0)


def linear_line(line: np.ndarray[Any, Any], new: int, mode: str) -> np.ndarray[Any, Any]:
    points = [point(i, len(line), new, mode) for i in range(new)]
    return np.interp(points, np.arange(len(line)), line)


def image(*shape: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32))


sizes = st.integers(1, 7)


@given(sizes, sizes, sizes, sizes, st.sampled_from(MODES), st.sampled_from([(), (2,), (2, 3)]))
@settings(max_examples=60, deadline=None)
def test_bilinear_interpolates_along_both_axes(
    height: int, width: int, new_height: int, new_width: int, mode: str, batch: tuple[int, ...]
) -> None:
    x = image(*batch, 2, height, width)
    rows = np.apply_along_axis(linear_line, -2, x.double().numpy(), new_height, mode)
    expected = np.apply_along_axis(linear_line, -1, rows, new_width, mode)
    result = resize_bilinear(x, new_height, new_width, mode)
    np.testing.assert_allclose(result.numpy(), expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize(
    "mode, width, points",
    [
        ("UNALIGN_CORNERS", 5, [0, 0.1, 0.5, 0.9, 1]),
        ("ALIGN_CORNERS", 5, [0, 0.25, 0.5, 0.75, 1]),
        ("STRICT_ALIGN_CORNERS", 6, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        ("DEFAULT", 5, [0, 0.4, 0.8, 1, 1]),
        ("OFFSET_CORNERS", 5, [0.1, 0.3, 0.5, 0.7, 0.9]),
    ],
)
def test_points_that_core_ml_documents(mode: str, width: int, points: list[float]) -> None:
    result = resize_bilinear(torch.tensor([[[0.0, 1.0]]]), 1, width, mode)
    np.testing.assert_allclose(result.flatten(), points, rtol=0, atol=1e-6)


scales = st.sampled_from([1, 2, 3, 1.5, 2.25, 2.75])


@given(sizes, sizes, scales, scales, st.booleans(), st.sampled_from([(), (2,), (2, 3)]))
@settings(max_examples=60, deadline=None)
def test_upsampling_is_torchs(
    height: int, width: int, high: float, wide: float, align_corners: bool, batch: tuple[int, ...]
) -> None:
    x = image(*batch, 2, height, width)
    size = [math.floor(height * high), math.floor(width * wide)]
    images = x.reshape(-1, 1, height, width)
    smooth = F.interpolate(images, size, mode="bilinear", align_corners=align_corners)
    result = upsample_bilinear(x, high, wide, align_corners)
    torch.testing.assert_close(result, smooth.reshape(*x.shape[:-2], *size))
    steps = F.interpolate(images, size, mode="nearest").reshape(*x.shape[:-2], *size)
    assert torch.equal(upsample_nearest_neighbor(x, high, wide), steps)


@pytest.mark.parametrize(
    "align_corners, half_pixel_centers, expected",
    [
        (True, None, [1, 1.2, 1.4, 1.6, 1.8, 2]),
        (True, False, [1, 1.2, 1.4, 1.6, 1.8, 2]),
        (False, None, [1, 1, 4 / 3, 5 / 3, 2, 2]),
        (False, False, [1, 4 / 3, 5 / 3, 2, 2, 2]),
    ],
)
def test_upsample_with_half_pixel_centers(
    align_corners: bool, half_pixel_centers: bool | None, expected: list[float]
) -> None:
    result = upsample_bilinear(torch.tensor([[[[1.0, 2.0]]]]), 2, 3, align_corners, half_pixel_centers)
    np.testing.assert_allclose(result[0, 0], [expected, expected], rtol=1e-6)


def test_aligned_corners_and_half_pixel_centers_exclude_each_other() -> None:
    with pytest.raises(InvalidProgramError, match="exclude"):
        upsample_bilinear(image(1, 1, 2, 2), 2, 2, True, True)


def test_a_scaled_size_is_that_of_float32() -> None:
    scale = float(np.float32(2.6))
    assert 5 * scale < 13
    assert upsample_nearest_neighbor(image(1, 5, 5), scale, scale).shape == (1, 13, 13)
    assert upsample_bilinear(image(1, 5, 5), scale, 2.5).shape == (1, 13, 12)


@given(sizes, sizes, sizes, sizes)
@settings(max_examples=30, deadline=None)
def test_nearest_takes_the_element_that_the_middle_of_the_new_one_lies_in(
    height: int, width: int, new_height: int, new_width: int
) -> None:
    x = image(2, height, width)
    rows = [int(Fraction(2 * i + 1, 2) * height / new_height) for i in range(new_height)]
    columns = [int(Fraction(2 * i + 1, 2) * width / new_width) for i in range(new_width)]
    expected = x[:, rows][:, :, columns]
    assert torch.equal(resize_nearest_neighbor(x, new_height, new_width), expected)
    whole = resize((x * 100).int(), [new_height, new_width], 2, "NEAREST_NEIGHBOR")
    assert torch.equal(whole, (expected * 100).int())


def test_nearest_by_sizes_and_by_scales_differ() -> None:
    """What coremltools' tests expect of Core ML: TensorFlow's half-pixel centers, and torch's "nearest"."""
    x = torch.tensor([[[0.0], [1.0]]])
    assert resize_nearest_neighbor(x, 3, 1).flatten().tolist() == [0, 1, 1]
    assert resize(x, [3, 1], 2, "NEAREST_NEIGHBOR").flatten().tolist() == [0, 1, 1]
    assert upsample_nearest_neighbor(x, 1.5, 1).flatten().tolist() == [0, 0, 1]


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode != "DEFAULT"])
def test_nearest_in_other_modes_rounds_to_the_nearest_element(mode: str) -> None:
    x = torch.arange(5.0).reshape(1, 5)
    expected = [math.floor(point(i, 5, 8, mode) + 0.5) for i in range(8)]
    assert resize(x, [8], 1, "NEAREST_NEIGHBOR", mode).flatten().tolist() == expected


def test_resize_keeps_where_the_shape_is_zero_and_axes_it_is_not_asked_for() -> None:
    x = image(2, 3, 4, 5)
    assert resize(x, [9, 0, 8], 2, sampling_mode="ALIGN_CORNERS").shape == (2, 3, 4, 8)
    torch.testing.assert_close(resize(x, [0, 0, 0], 3), x)


@pytest.mark.parametrize("dims", [1, 3])
def test_resize_of_lines_and_volumes(dims: int) -> None:
    x = image(2, 3, 4, 5)
    expected = x.double().numpy()
    for axis in range(4 - dims, 4):
        expected = np.apply_along_axis(linear_line, axis, expected, 6, "UNALIGN_CORNERS")
    result = resize(x, [6] * dims, dims, sampling_mode="UNALIGN_CORNERS")
    np.testing.assert_allclose(result, expected, rtol=0, atol=1e-5)


def test_integers_are_interpolated_towards_zero() -> None:
    x = torch.tensor([[0, 3, -3]], dtype=torch.int32)
    result = resize(x, [5], 1, sampling_mode="ALIGN_CORNERS")
    assert result.dtype == torch.int32
    assert result.tolist() == [[0, 1, 3, 0, -3]]


@pytest.mark.parametrize(
    "arguments, problem",
    [
        ({"shape": [2], "resized_dims": 2}, "2 of 1 sizes"),
        ({"shape": [2, 2, 2], "resized_dims": 1}, "x has 2 axes"),
        ({"shape": [2], "resized_dims": 1, "interpolation_mode": "CUBIC"}, "NEAREST_NEIGHBOR"),
        ({"shape": [2], "resized_dims": 1, "sampling_mode": "CENTER"}, "UNALIGN_CORNERS"),
    ],
)
def test_resize_refuses(arguments: dict[str, Any], problem: str) -> None:
    with pytest.raises(InvalidProgramError, match=problem):
        resize(image(2, 2), **arguments)


margins = st.tuples(st.integers(0, 3), st.integers(0, 3))


@given(st.sampled_from([(), (2,), (2, 3)]), sizes, sizes, margins, margins)
@settings(max_examples=30, deadline=None)
def test_crop_drops_margins(
    batch: tuple[int, ...], height: int, width: int, rows: tuple[int, int], columns: tuple[int, int]
) -> None:
    kept = image(*batch, height, width)
    x = F.pad(kept, (*columns, *rows), value=9.0)
    assert torch.equal(crop(x, rows, columns), kept)
