from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from mlpress.errors import InvalidProgramError
from mlpress.ops.pool import avg_pool, l2_pool, max_pool
from tests.torch.ops.draws import Array, assert_close, seeded, seeds, tensor


@st.composite
def geometries(draw: st.DrawFn) -> dict[str, Any]:
    rank = draw(st.integers(1, 3))
    kernel = [draw(st.integers(1, 4)) for _ in range(rank)]
    # No window lies in the padding altogether.
    pad = [draw(st.integers(0, size - 1)) for size in kernel for _ in range(2)]
    return {
        "kernel_sizes": kernel,
        "strides": [draw(st.integers(1, 3)) for _ in range(rank)],
        "sizes": [draw(st.integers(size, size + 4)) for size in kernel],
        "pad": pad,
    }


def windows(x: Array, kernel: Any, strides: Any, pads: Any, fill: float) -> tuple[Array, tuple[int, ...]]:
    """Returns the elements of each window, in the last axis, and how many windows each axis has."""
    x = np.pad(x.astype(np.float64), [(0, 0), (0, 0), *pads], constant_values=fill)
    counts = tuple((size - k) // s + 1 for size, k, s in zip(x.shape[2:], kernel, strides, strict=True))
    found = [
        x[(..., *(slice(at * s, at * s + k) for at, k, s in zip(place, kernel, strides, strict=True)))]
        for place in itertools.product(*map(range, counts))
    ]
    return np.stack([window.reshape(*x.shape[:2], -1) for window in found], 2), counts


@settings(max_examples=60, deadline=None)
@given(geometry=geometries(), seed=seeds, excluded=st.booleans())
def test_pools_reduce_each_window(geometry: dict[str, Any], seed: int, excluded: bool) -> None:
    kernel, strides, pad = geometry["kernel_sizes"], geometry["strides"], geometry["pad"]
    pads = list(zip(pad[::2], pad[1::2], strict=True))
    x = seeded(seed, 2, 2, *geometry["sizes"])
    seen, counts = windows(x, kernel, strides, pads, np.nan)

    def pooled(function: Any, **options: Any) -> torch.Tensor:
        return function(tensor(x), kernel, "custom", strides=strides, pad=pad, **options)

    shape = (2, 2, *counts)
    assert_close(pooled(max_pool), np.nanmax(seen, -1).reshape(shape))
    assert_close(pooled(l2_pool), np.sqrt(np.nansum(seen**2, -1)).reshape(shape), 1e-4)
    divisor = np.isfinite(seen).sum(-1) if excluded else seen.shape[-1]
    means = (np.nansum(seen, -1) / divisor).reshape(shape)
    assert_close(pooled(avg_pool, exclude_padding_from_average=excluded), means)


@pytest.mark.parametrize("function", [avg_pool, max_pool, l2_pool])
@pytest.mark.parametrize("pad_type", ["same", "same_lower"])
@settings(max_examples=20, deadline=None)
@given(geometry=geometries(), seed=seeds)
def test_same_padding_is_custom_padding(
    function: Any, pad_type: str, geometry: dict[str, Any], seed: int
) -> None:
    kernel, strides = geometry["kernel_sizes"], geometry["strides"]
    x = tensor(seeded(seed, 1, 2, *geometry["sizes"]))
    pad = []
    for size, extent, stride in zip(geometry["sizes"], kernel, strides, strict=True):
        missing = max(0, (-(-size // stride) - 1) * stride + extent - size)
        halves = [missing // 2, missing - missing // 2]
        pad += halves if pad_type == "same" else halves[::-1]
    same = function(x, kernel, pad_type, strides=strides)
    assert tuple(same.shape[2:]) == tuple(-(-n // s) for n, s in zip(geometry["sizes"], strides, strict=True))
    assert_close(same, function(x, kernel, "custom", strides=strides, pad=pad).numpy())


@settings(max_examples=60, deadline=None)
@given(
    size=st.integers(4, 9),
    kernel=st.integers(1, 4),
    stride=st.integers(1, 4),
    half=st.integers(0, 2),
    excluded=st.booleans(),
)
def test_ceil_mode_is_that_of_torch(size: int, kernel: int, stride: int, half: int, excluded: bool) -> None:
    padding = min(half, kernel // 2)
    x = tensor(seeded(size, 1, 2, size, size))
    window = {"kernel_sizes": [kernel] * 2, "strides": [stride] * 2, "pad": [padding] * 4}
    options: dict[str, Any] = {"pad_type": "custom", "ceil_mode": True, **window}
    reference = (x, kernel, stride, padding)
    assert_close(max_pool(x, **options), F.max_pool2d(*reference, ceil_mode=True).numpy())
    averages = F.avg_pool2d(*reference, True, not excluded)
    assert_close(avg_pool(x, exclude_padding_from_average=excluded, **options), averages.numpy())
    norms = F.avg_pool2d(x * x, kernel, stride, padding, True, True, divisor_override=1).sqrt()
    assert_close(l2_pool(x, **options), norms.numpy(), 1e-4)


@pytest.mark.parametrize("padding", [2, 3])
def test_ceil_mode_with_more_padding_than_torch_allows(padding: int) -> None:
    x = tensor(seeded(1, 1, 1, 6))
    options: dict[str, Any] = {
        "kernel_sizes": [3],
        "strides": [2],
        "pad": [padding] * 2,
        "pad_type": "custom",
    }
    padded = F.pad(x, (padding, padding))
    # 6 + 2 * padding elements in steps of 2 from windows of 3: the last one may reach beyond them.
    expected = [padded[0, 0, at : at + 3] for at in range(0, 6 + padding, 2)]
    means = [float(window.sum()) / len(window) for window in expected]
    assert avg_pool(x, ceil_mode=True, **options).flatten().tolist() == pytest.approx(means, abs=1e-6)


def test_windows_step_by_one_if_no_strides_are_given() -> None:
    x = torch.tensor([[[1.0, 5, 2, 4]]])
    assert max_pool(x, [2], "valid").tolist() == [[[5, 5, 4]]]
    assert avg_pool(x, [2], "valid").tolist() == [[[3, 3.5, 3]]]


def test_maxima_of_negative_numbers_ignore_padding() -> None:
    x = -torch.ones(1, 1, 3)
    assert max_pool(x, [3], "custom", pad=[2, 1]).tolist() == [[[-1, -1, -1, -1]]]


def test_unknown_padding_is_named() -> None:
    with pytest.raises(InvalidProgramError, match="max_pool: pad_type is 'full'"):
        max_pool(torch.zeros(1, 1, 3), [2], "FULL")
