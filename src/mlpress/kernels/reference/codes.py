"""NumPy twin of `mlpress.kernels.codes`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Codes:
    """uint8 codes of any shape, C-contiguous. A code c stands for ``scale * (c - zero)``."""

    codes: NDArray[np.uint8]
    scale: float
    zero: int

    def numbers(self) -> NDArray[np.float32]:
        """Returns what the codes stand for."""
        return (self.codes.astype(np.float32) - np.float32(self.zero)) * np.float32(self.scale)


@dataclass(frozen=True, slots=True)
class Target:
    """How numbers become codes: ``round(number / scale) + zero``, ties to even, within low..high."""

    scale: float
    zero: int
    low: int
    high: int

    def codes(self, numbers: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Returns the codes of `numbers`."""
        steps = np.rint(numbers / np.float32(self.scale)) + np.float32(self.zero)
        codes: NDArray[np.uint8] = steps.clip(self.low, self.high).astype(np.uint8)
        return codes


def add(x: Codes, y: Codes, target: Target) -> NDArray[np.uint8]:
    """Returns the codes of the sums of what `x` and `y` stand for."""
    return target.codes(x.numbers() + y.numbers())
