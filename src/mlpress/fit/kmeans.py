"""Scalar palettization: one look-up table for each group of weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlpress.kernels import kmeans_rows


@dataclass(frozen=True, slots=True)
class KMeansResult:
    """Tables and indices of G groups of n weights.

    Attributes:
        table: ``[G, k]`` of the weights' dtype. The used entries ascend; entries that no weight uses are
            zeros at the end.
        indices: uint8 ``[G, n]``, below k.
    """

    table: NDArray[Any]
    indices: NDArray[np.uint8]

    def __post_init__(self) -> None:
        if self.table.ndim != 2 or self.indices.ndim != 2 or self.table.shape[0] != self.indices.shape[0]:
            raise ValueError(
                f"table {self.table.shape} and indices {self.indices.shape} must be [G, k] and [G, n]"
            )


def kmeans_groups(
    groups: NDArray[Any], k: int, *, weights: NDArray[np.float32] | None = None
) -> KMeansResult:
    """Palettizes each group with the table of least squared error.

    The partition into clusters is the global optimum of one-dimensional k-means, weighted when weights are
    given. Its centroids are rounded to the groups' dtype and every weight takes the nearest entry, the
    lower on a tie. For integer dtypes the centroids are integers and the optimum is over those. (In float32
    groups of 2**20 weights or more it is near that only: see `mlpress.kernels.kmeans_rows`.)

    Args:
        groups: float16, float32, int8 or uint8 ``[G, n]``. -0 and 0 are one value.
        k: Entries of a table, 1 to 256.
        weights: float32 ``[G, n]``, the importance of each weight's squared error; finite, not negative.

    Returns:
        A group with fewer distinct values than k keeps them exactly, and its table ends in zeros.

    Raises:
        NonFiniteWeightError: A weight is NaN or infinite (the message says how many).
        ValueError: An argument is not as described.
    """
    table, indices = kmeans_rows(groups, k, weights)
    return KMeansResult(table, indices)
