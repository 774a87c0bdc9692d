"""How far the outputs of a program are from those of torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

LEAST_OF_ROUNDED = 45.0
"""What, in dB, a float16 program has to reach with every result rounded to float16, as on a device."""


def snr_db(reference: Array, value: Array) -> float:
    """Signal-to-noise ratio in dB over all elements; of shapes that have to be the same."""
    assert value.shape == reference.shape
    signal = np.linalg.norm(reference.astype(np.float64))
    noise = np.linalg.norm(reference.astype(np.float64) - value.astype(np.float64))
    assert signal > 0  # there is something to be wrong about
    return float(20 * np.log10(signal / noise)) if noise else np.inf


def lowest_snr_db(references: Sequence[Array], values: Sequence[Array]) -> float:
    """The lowest `snr_db` of pairs of outputs."""
    return min(snr_db(*pair) for pair in zip(references, values, strict=True))


def least_snr_db(precision: str) -> float:
    """What a program of `precision` has to reach: a relative error of 1e-4 in float32, 50 dB in float16."""
    return {"float32": 80.0, "float16": 50.0}[precision]
