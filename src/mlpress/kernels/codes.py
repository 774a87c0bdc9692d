"""Sums of numbers that are held as 8-bit codes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mlpress.kernels._backend import native
from mlpress.kernels.reference import codes as reference
from mlpress.kernels.reference.codes import Codes, Target, steps


def add(x: Codes, y: Codes, target: Target, out: NDArray[np.uint8]) -> None:
    """Writes the codes of the sums of what `x` and `y` stand for, of the same shape, to `out`.

    The arithmetic is float32, in steps of the result: a product and a sum are rounded once.

    Raises:
        ValueError: The shapes differ, or an array is not C-contiguous uint8.
    """
    for array in (x.codes, y.codes, out):
        if array.shape != out.shape or array.dtype != np.uint8 or not array.flags.c_contiguous:
            raise ValueError(
                f"codes are {array.dtype} {array.shape}; allowed: C-contiguous uint8 {out.shape}"
            )
    if native is None:
        out[...] = reference.add(x, y, target)
        return
    native.add_codes(
        *(x.codes.reshape(-1), steps(x.scale, x.zero, target.scale)[0], x.zero),
        *(y.codes.reshape(-1), *steps(y.scale, y.zero, target.scale)),
        *(target.zero, target.low, target.high),
        out.reshape(-1),
    )


__all__ = ["Codes", "Target", "add", "steps"]
