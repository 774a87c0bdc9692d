"""Squared errors of compressed packages, weight by weight.

mlpress decodes both libraries' packages; the tests hold its decoder to coremltools' bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mlpress.encoding import Dense, decode, size_of
from mlpress.models import MLModel
from mlpress.passes.weights import Weight, weights

Key = tuple[str, str]
"""Name of the first operator that uses a weight, and the parameter: libraries rename constants."""


@dataclass(frozen=True, slots=True)
class Error:
    """What compression did to a weight.

    Attributes:
        shape: Shape of the weight.
        squares: Sum of squared differences.
    """

    shape: tuple[int, ...]
    squares: float


@dataclass(frozen=True, slots=True)
class Ratios:
    """Errors of one package over those of another, over the weights that both compressed.

    Attributes:
        mean: Geometric mean.
        worst: Largest.
        count: Number of weights.
    """

    mean: float
    worst: float
    count: int


def errors(original: Path, compressed: Path) -> dict[Key, Error]:
    """Returns the error of each weight that the second package stores in another way than densely."""
    before, after = _weights(original), _weights(compressed)
    found = {}
    for key, weight in after.items():
        if isinstance(weight.encoding, Dense) or key not in before:
            continue
        encoding = before[key].encoding
        difference = decode(weight.encoding).astype(np.float32) - decode(encoding).astype(np.float32)
        squares = float(np.sum(np.square(difference), dtype=np.float64))
        found[key] = Error(encoding.shape, squares)
    return found


def compare(
    ours: dict[Key, Error],
    theirs: dict[Key, Error],
    counts: Callable[[tuple[int, ...]], bool] = lambda shape: True,
) -> Ratios:
    """Compares the errors of the weights that both hold and whose shape `counts`.

    Raises:
        ValueError: There are none.
    """
    common = [key for key in ours if key in theirs and counts(ours[key].shape)]
    if not common:
        raise ValueError("the packages have no compressed weight in common")
    ratios = np.array([ours[key].squares / theirs[key].squares for key in common])
    return Ratios(float(np.exp(np.log(ratios).mean())), float(ratios.max()), len(ratios))


def largest_weight(package: Path) -> int:
    """Returns the number of elements of the largest weight."""
    return max(size_of(weight.encoding) for weight in _weights(package).values())


def _weights(package: Path) -> dict[Key, Weight]:
    found = {}
    for weight in weights(MLModel(package).program):
        use = next((use for use in weight.users if use.operation is not None), None)
        if use is not None and use.operation is not None:
            found[use.operation.name, use.parameter] = weight
    return found
