"""Kernels on plain arrays: compiled where possible, NumPy otherwise, with the same results."""

from mlpress.kernels._backend import backend
from mlpress.kernels.grid import choose_points
from mlpress.kernels.kmeans import (
    MAX_ENTRIES,
    count_nonfinite,
    distinct_values,
    kmeans_rows,
    nearest_rows,
)
from mlpress.kernels.packing import (
    gather_mask,
    lookup,
    pack,
    popcount,
    scatter_mask,
    sum_squared_error,
    unpack,
)

__all__ = [
    "MAX_ENTRIES",
    "backend",
    "choose_points",
    "count_nonfinite",
    "distinct_values",
    "gather_mask",
    "kmeans_rows",
    "lookup",
    "nearest_rows",
    "pack",
    "popcount",
    "scatter_mask",
    "sum_squared_error",
    "unpack",
]
