"""How much of each old pixel is in each new one, along one axis, as torch has it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def interpolation_weights(mode: str, old: int, new: int, factor: float, align_corners: bool) -> Array:
    """Returns a float32 matrix [new, old].

    Args:
        mode: ``"nearest"``, ``"nearest_exact"``, ``"linear"`` or ``"cubic"``; the last two also with
            ``"_antialias"``.
        old: Number of pixels.
        new: Number of pixels afterwards.
        factor: What a new position is divided by to find where it comes from.
        align_corners: Whether the first and last pixels stay where they are; `factor` has no effect then.
    """
    if mode.startswith("nearest"):
        places = np.arange(new, dtype=np.float32) + np.float32(0.5 if mode == "nearest_exact" else 0)
        source = np.floor(places * np.float32(1 / factor)).astype(int)
        return _scattered(source.clip(0, old - 1)[:, None], np.ones((new, 1)), old)
    if align_corners:
        step = (old - 1) / (new - 1) if new > 1 else 0.0
        positions = np.arange(new) * step
    else:
        step = 1 / factor
        positions = (np.arange(new) + 0.5) * step - 0.5
    kind, _, antialias = mode.partition("_")
    kernel, radius = _KERNELS[kind]
    if antialias:
        return _antialiased(*_ANTIALIASED[kind], positions, max(step, 1.0), old)
    if kind == "linear":
        positions = positions.clip(0)
    base = np.floor(positions).astype(int)[:, None] + np.arange(1 - radius, radius + 1)
    return _scattered(base.clip(0, old - 1), kernel(np.abs(positions[:, None] - base)), old)


def _scattered(places: Array, shares: Array, old: int) -> Array:
    weights = np.zeros((len(places), old))
    np.add.at(weights, (np.arange(len(places))[:, None], places), shares)
    return weights.astype(np.float32)


def _antialiased(
    kernel: Callable[[Array], Array], radius: int, positions: Array, step: float, old: int
) -> Array:
    """The kernel stretched over the pixels that become one; shares sum to 1."""
    distance = np.abs(np.arange(old) - positions[:, None]) / step
    shares = np.where(distance < radius, kernel(distance), 0.0)
    weights: Array = (shares / shares.sum(1, keepdims=True)).astype(np.float32)
    return weights


def _linear(distance: Array) -> Array:
    return np.maximum(0.0, 1.0 - distance)


def _cubic(a: float) -> Callable[[Array], Array]:
    """Keys 1981."""

    def kernel(distance: Array) -> Array:
        near = ((a + 2) * distance - (a + 3)) * distance**2 + 1
        far = ((a * distance - 5 * a) * distance + 8 * a) * distance - 4 * a
        return np.where(distance <= 1, near, np.where(distance < 2, far, 0.0))

    return kernel


_KERNELS: Final = {"linear": (_linear, 1), "cubic": (_cubic(-0.75), 2)}
_ANTIALIASED: Final = {"linear": (_linear, 1), "cubic": (_cubic(-0.5), 2)}
