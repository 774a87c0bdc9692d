"""What hypothesis draws for tests of ops."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

Array = np.ndarray[Any, Any]


def floats(
    shape: st.SearchStrategy[tuple[int, ...]] | tuple[int, ...] | None = None,
    low: float = -4,
    high: float = 4,
) -> st.SearchStrategy[Array]:
    """Arrays of float32 (rank 0 to 4 by default, empty ones too)."""
    shapes = arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4) if shape is None else shape
    return arrays.arrays(np.float32, shapes, elements=st.floats(low, high, width=32))


def seeded(seed: int, *shape: int) -> Array:
    """Returns normal float32 numbers: cheaper than drawing each one, where any number does."""
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


seeds = st.integers(0, 2**16)


def tensor(array: Any) -> torch.Tensor:
    return torch.from_numpy(np.array(array))


def assert_close(ours: torch.Tensor, expected: Any, bound: float = 1e-5) -> None:
    """Checks shape and values, NaN where NaN is expected, with `bound` relative and absolute."""
    assert tuple(ours.shape) == np.shape(expected)
    np.testing.assert_allclose(ours.numpy(), expected, rtol=bound, atol=bound)
