"""Sampling at given points, against a loop over pixels."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mlpress.errors import InvalidProgramError, UnsupportedModelError
from mlpress.ops.sample import affine, resample

NORMALIZED = "normalized_minus_one_to_one"


def mirrored(position: float, low: float, high: float) -> float:
    """Returns `position` mirrored at `low` and `high` until it lies between them."""
    if high <= low:
        return low
    while not low <= position <= high:
        position = 2 * low - position if position < low else 2 * high - position
    return position


def pixel(x: np.ndarray[Any, Any], row: int, column: int, value: float) -> np.ndarray[Any, Any]:
    inside = 0 <= row < x.shape[1] and 0 <= column < x.shape[2]
    return x[:, row, column] if inside else np.full(len(x), value)


def sampled(x: np.ndarray[Any, Any], row: float, column: float, padding: str, value: float) -> Any:
    """Returns the channels of an image [C, H, W] at one point, bilinear."""
    height, width = x.shape[1:]
    if padding == "border":
        row, column = min(max(row, 0), height - 1), min(max(column, 0), width - 1)
    if padding == "reflection":
        row, column = mirrored(row, 0, height - 1), mirrored(column, 0, width - 1)
    if padding == "symmetric":
        row, column = mirrored(row, -0.5, height - 0.5), mirrored(column, -0.5, width - 0.5)
        row, column = min(max(row, 0), height - 1), min(max(column, 0), width - 1)
    top, left = int(np.floor(row)), int(np.floor(column))
    return sum(
        (1 - abs(row - i)) * (1 - abs(column - j)) * pixel(x, i, j, value)
        for i, j in itertools.product((top, top + 1), (left, left + 1))
    )


def pixels(at: np.ndarray[Any, Any], size: int, mode: str, align_corners: bool) -> np.ndarray[Any, Any]:
    if mode == "unnormalized":
        return at
    share = (at + 1) / 2 if mode == NORMALIZED else at
    return share * (size - 1) if align_corners else share * size - 0.5


@given(
    st.integers(1, 5),
    st.integers(1, 5),
    st.sampled_from(["constant", "border", "reflection", "symmetric"]),
    st.sampled_from([NORMALIZED, "normalized_zero_to_one", "unnormalized"]),
    st.booleans(),
    st.integers(0, 100),
)
@settings(max_examples=80, deadline=None)
def test_resample_is_bilinear_in_the_padded_image(
    height: int, width: int, padding: str, mode: str, align_corners: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(2, 3, height, width)).astype(np.float32)
    at = rng.uniform(-2, 2, (2, 2, 3, 2)).astype(np.float32)
    if mode == "unnormalized":
        at = at * 4
    result = resample(
        torch.from_numpy(x), torch.from_numpy(at), "bilinear", padding, 0.5, mode, align_corners
    )
    columns = pixels(at[..., 0].astype(float), width, mode, align_corners)
    rows = pixels(at[..., 1].astype(float), height, mode, align_corners)
    expected = np.array(
        [
            [
                [sampled(x[b], rows[b, i, j], columns[b, i, j], padding, 0.5) for j in range(3)]
                for i in range(2)
            ]
            for b in range(2)
        ]
    )
    np.testing.assert_allclose(result.numpy().transpose(0, 2, 3, 1), expected, rtol=0, atol=2e-4)


def test_resample_at_integers_takes_pixels() -> None:
    x = torch.arange(12.0).reshape(1, 1, 3, 4)
    at = torch.tensor([[[[3, 0], [0, 2], [1, 1]]]], dtype=torch.int32)  # x before y
    for sampling in ("nearest", "bilinear"):
        result = resample(x, at, sampling, "border", 0.0, "unnormalized", True)
        torch.testing.assert_close(result.flatten(), torch.tensor([3.0, 8.0, 5.0]), rtol=0, atol=1e-5)


@pytest.mark.parametrize("parameter", ["sampling_mode", "padding_mode", "coordinates_mode"])
def test_resample_refuses_unknown_modes(parameter: str) -> None:
    modes = {"sampling_mode": "nearest", "padding_mode": "border", "coordinates_mode": NORMALIZED}
    with pytest.raises(InvalidProgramError, match=f"{parameter} is 'cubic'"):
        resample(
            torch.zeros(1, 1, 2, 2),
            torch.zeros(1, 1, 1, 2),
            padding_value=0.0,
            align_corners=True,
            **{**modes, parameter: "cubic"},
        )


sides = st.integers(1, 5)


@given(sides, sides, st.integers(2, 4), st.integers(2, 4), st.booleans(), st.integers(0, 100))
@settings(max_examples=30, deadline=None)
def test_affine_samples_at_transformed_places(
    height: int, width: int, new_height: int, new_width: int, each_its_own: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(2, 3, height, width)).astype(np.float32)
    matrix = rng.uniform(-1, 1, (2 if each_its_own else 1, 6)).astype(np.float32)
    fixed = ("bilinear", "constant", 0.0, NORMALIZED, True)
    result = affine(torch.from_numpy(x), torch.from_numpy(matrix), new_height, new_width, *fixed)
    assert result.shape == (2, 3, new_height, new_width)
    for b, i, j in itertools.product(range(2), range(new_height), range(new_width)):
        a = matrix[b % len(matrix)].astype(float)
        across, down = 2 * j / (new_width - 1) - 1, 2 * i / (new_height - 1) - 1
        column, row = a[0] * across + a[1] * down + a[2], a[3] * across + a[4] * down + a[5]
        at = (row + 1) / 2 * (height - 1), (column + 1) / 2 * (width - 1)
        expected = sampled(x[b], *at, "constant", 0.0)
        np.testing.assert_allclose(result[b, :, i, j], expected, rtol=0, atol=1e-4)


def test_affine_refuses_what_core_ml_does_not_have() -> None:
    with pytest.raises(UnsupportedModelError, match="allowed: bilinear"):
        affine(torch.zeros(1, 1, 2, 2), torch.zeros(1, 6), 1, 1, "nearest", "constant", 0.0, NORMALIZED, True)
