"""Long float32 rows, whose values are merged into fine bins before they are clustered."""

from __future__ import annotations

import numpy as np
import pytest

from mlpress import kernels
from mlpress.kernels.reference import kmeans as reference

COUNT = 1 << 20


def improved(row: np.ndarray, table: np.ndarray, rounds: int) -> float:
    """The error after some rounds of Lloyd's algorithm on all values, starting from a table."""
    x = np.sort(row.astype(np.float64))
    firsts, seconds = (np.concatenate([[0], np.cumsum(x**power)]) for power in (1, 2))
    centroids = table.astype(np.float64)
    for _ in range(rounds):
        cuts = np.searchsorted(x, (centroids[1:] + centroids[:-1]) / 2)
        bounds = np.concatenate([[0], cuts, [x.size]])
        centroids = np.diff(firsts[bounds]) / np.diff(bounds)
    return float((np.diff(seconds[bounds]) - np.diff(firsts[bounds]) * centroids).sum())


@pytest.mark.parametrize("k", [16, 256])
def test_merging_costs_no_accuracy(k: int) -> None:
    row = (np.random.default_rng(k).standard_t(5, size=COUNT) * 0.05).astype(np.float32)
    table, indices = kernels.kmeans_rows(row[None], k)
    error = float(((row.astype(np.float64) - table[0][indices[0]]) ** 2).sum())
    assert error <= improved(row, table[0], 20) * (1 + 2e-6)


def test_few_distinct_values_are_kept_though_they_are_close() -> None:
    palette = np.float32(1000) + np.arange(16, dtype=np.float32) * np.float32(1e-3)
    row = palette[np.random.default_rng(0).integers(0, 16, COUNT)]
    table, indices = kernels.kmeans_rows(row[None], 16)
    assert np.array_equal(table[0], palette)
    assert np.array_equal(table[0][indices[0]], row)


@pytest.mark.parametrize("weighted", [False, True])
def test_the_numpy_twin_merges_alike(weighted: bool) -> None:
    rng = np.random.default_rng(1)
    row = rng.normal(size=COUNT).astype(np.float32)
    weights = rng.random(COUNT).astype(np.float32) if weighted else None
    values, masses = kernels.distinct_values(row, weights)
    expected_values, expected_masses = reference.distinct_values(row, weights)
    assert values.size < COUNT // 4
    assert np.allclose(values, expected_values, rtol=1e-12)
    assert np.allclose(masses, expected_masses, rtol=1e-9)
