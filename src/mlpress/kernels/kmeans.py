"""Exact one-dimensional k-means of rows of numbers, and what belongs to it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlpress.errors import NonFiniteWeightError
from mlpress.kernels._backend import native
from mlpress.kernels.reference import kmeans as reference

_DTYPES = (np.float16, np.float32, np.int8, np.uint8)
MAX_ENTRIES = 256


def _rows(name: str, array: NDArray[Any], dimensions: int) -> NDArray[Any]:
    """Returns `array` contiguous and in the machine's byte order after checking its dtype and rank."""
    if array.ndim != dimensions:
        raise ValueError(f"{name} has {array.ndim} dimensions; {dimensions} are expected")
    if array.dtype.type not in _DTYPES:
        raise ValueError(f"{name} has dtype {array.dtype}; allowed are float16, float32, int8, uint8")
    return np.ascontiguousarray(array, dtype=array.dtype.type)


def _finite(name: str, array: NDArray[Any]) -> None:
    bad = count_nonfinite(array)
    if bad:
        raise NonFiniteWeightError(f"{bad} of {array.size} {name} are NaN or infinite")


def _weights(weights: NDArray[np.float32] | None, shape: tuple[int, ...]) -> NDArray[np.float32] | None:
    if weights is None:
        return None
    if weights.shape != shape:
        raise ValueError(f"weights has shape {weights.shape}; {shape} is expected")
    weights = np.ascontiguousarray(weights, dtype=np.float32)
    _finite("weights", weights)
    if weights.size and weights.min() < 0:
        raise ValueError(f"a weight is {weights.min()}; weights must not be negative")
    return weights


def _raw(array: NDArray[Any]) -> NDArray[Any]:
    """float16 crosses to the compiled module as its bits."""
    return array.view(np.uint16) if array.dtype == np.float16 else array


def count_nonfinite(array: NDArray[Any]) -> int:
    """Returns how many elements of an array of any shape are NaN or infinite.

    Raises:
        ValueError: The dtype is not float16, float32, int8 or uint8.
    """
    flat = _rows("array", array.reshape(-1), 1)
    if flat.dtype.kind != "f":
        return 0
    if native is None:
        return int(flat.size - np.count_nonzero(np.isfinite(flat)))
    if flat.dtype == np.float16:
        return int(native.nonfinite_half(_raw(flat)))
    return int(native.nonfinite_float(flat))


def kmeans_rows(
    rows: NDArray[Any], k: int, weights: NDArray[np.float32] | None = None
) -> tuple[NDArray[Any], NDArray[np.uint8]]:
    """Clusters the values of each row into at most `k` centroids of least total squared error.

    The partition is the global optimum, found as a least-weight subsequence with a price for each interval
    (Aggarwal, Schieber and Tokuyama 1994). Centroids are rounded to the rows' dtype, then each value takes
    the nearest one, the lower on a tie. For integer dtypes the optimum is over integer centroids.

    In float32 rows of 2**20 values or more with many distinct ones, values that agree in 13 bits of the
    fraction stay in one cluster, which bounds the memory: 80 bytes for each of them would be needed
    otherwise. The error is then above the optimum by up to 1e-6 of it with 16 entries, 1e-4 with 256.

    Args:
        rows: float16, float32, int8 or uint8 ``[r, n]``, n below 2**30.
        k: Number of table entries, 1 to 256.
        weights: float32 ``[r, n]``, finite and not negative; None means 1 for each. A row whose weights are
            all 0 is treated as if they were all 1.

    Returns:
        The table ``[r, k]`` of the rows' dtype, ascending, and the indices uint8 ``[r, n]``. A row with fewer
        distinct values than k has exactly these, followed by zeros that no index uses.

    Raises:
        NonFiniteWeightError: A value is NaN or infinite.
        ValueError: An argument is not as described.
    """
    rows = _rows("rows", rows, 2)
    if not 1 <= k <= MAX_ENTRIES:
        raise ValueError(f"k is {k}; allowed are 1 to {MAX_ENTRIES}")
    weights = _weights(weights, rows.shape)
    if native is None:
        _finite("values", rows)
        return reference.kmeans_rows(rows, k, weights)
    table = np.empty((rows.shape[0], k), rows.dtype)
    indices = np.empty(rows.shape, np.uint8)
    if not native.kmeans_rows(_raw(rows), weights, _raw(table), indices):
        _finite("values", rows)  # raises and says how many
    return table, indices


def nearest_rows(rows: NDArray[Any], tables: NDArray[Any]) -> NDArray[np.uint8]:
    """Returns for each value the index of the nearest entry in its row's table.

    Args:
        rows: float16, float32, int8 or uint8 ``[r, n]``.
        tables: ``[r, k]`` of any real dtype, k 1 to 256, in any order. Of entries equally near, the one of
            the lowest index is taken.

    Returns:
        uint8 ``[r, n]``.

    Raises:
        ValueError: A value or an entry is NaN or infinite, or an argument is not as described.
    """
    rows = _rows("rows", rows, 2)
    entries = np.ascontiguousarray(tables, dtype=np.float64)
    if entries.ndim != 2 or entries.shape[0] != rows.shape[0] or not 1 <= entries.shape[1] <= MAX_ENTRIES:
        raise ValueError(
            f"tables has shape {entries.shape}; [{rows.shape[0]}, 1 to {MAX_ENTRIES}] is expected"
        )
    _finite("values", rows)
    if not np.isfinite(entries).all():
        raise ValueError(f"{np.count_nonzero(~np.isfinite(entries))} table entries are not finite")
    indices = np.empty(rows.shape, np.uint8)
    if native is None:
        for row, table, out in zip(rows, entries, indices, strict=True):
            out[:] = reference.nearest_row(row, table)
    else:
        native.nearest_rows(_raw(rows), entries, indices)
    return indices


def distinct_values(
    row: NDArray[Any], weights: NDArray[np.float32] | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns the sorted distinct values of a row and the total weight of each.

    In float32 rows of 2**20 values or more with many distinct ones, those that agree in 13 bits of the
    fraction are merged into their mean.

    Args:
        row: float16, float32, int8 or uint8 ``[n]``. -0 counts as 0.
        weights: float32 ``[n]``, finite and not negative; None means 1 for each. Values of total weight 0
            are left out, unless all have it: then the weights are ignored.

    Returns:
        Values float64 ``[m]`` ascending and weights float64 ``[m]``.

    Raises:
        NonFiniteWeightError: A value is NaN or infinite.
        ValueError: An argument is not as described.
    """
    row = _rows("row", row, 1)
    _finite("values", row)
    weights = _weights(weights, row.shape)
    if native is None:
        return reference.distinct_values(row, weights)
    values, masses = native.distinct_values(_raw(row), weights)
    return values, masses
