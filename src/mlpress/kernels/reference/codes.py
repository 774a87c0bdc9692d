"""NumPy twin of `mlpress.kernels.codes`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Codes:
    """uint8 codes of any shape, C-contiguous. A code c stands for ``scale * (c - zero)``."""

    codes: NDArray[np.uint8]
    scale: float
    zero: int


@dataclass(frozen=True, slots=True)
class Target:
    """How numbers become codes: ``round(number / scale) + zero``, ties to even, within low..high."""

    scale: float
    zero: int
    low: int
    high: int


def add(x: Codes, y: Codes, target: Target) -> NDArray[np.uint8]:
    """Returns the codes of the sums of what `x` and `y` stand for."""
    scale, _ = steps(x.scale, x.zero, target.scale)
    second = fused(y.codes, *steps(y.scale, y.zero, target.scale))
    total = fused(x.codes.astype(np.float32) - x.zero, scale, second)
    codes: NDArray[np.uint8] = (np.rint(total) + target.zero).clip(target.low, target.high).astype(np.uint8)
    return codes


def steps(scale: float, zero: int, of: float) -> tuple[float, float]:
    """Returns (factor, shift): what codes stand for, in steps of `of`, is ``code * factor + shift``."""
    factor = np.float32(scale / of)
    return float(factor), float(-zero * factor)


def fused(a: NDArray[Any], b: NDArray[Any] | float, c: NDArray[Any] | float) -> NDArray[np.float32]:
    """Returns float32 ``a * b + c``, rounded once as far as it matters: to float64 first."""
    factors: NDArray[np.float32] = (a.astype(np.float64) * b + c).astype(np.float32)
    return factors
