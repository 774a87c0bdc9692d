"""Long float32 rows, whose values are merged into fine bins before they are clustered."""

from __future__ import annotations

import numpy as np
import pytest

from mlpress import kernels
from mlpress.kernels.reference import kmeans as reference

COUNT = 1 << 20


DRAWS = {
    "normal": np.random.default_rng(0).standard_normal,
    "heavy tails": lambda count: np.random.default_rng(0).standard_t(5, count),
    "uniform": np.random.default_rng(0).random,
}


def squared_error(row: np.ndarray, table: np.ndarray, indices: np.ndarray) -> float:
    return float(np.square(row.astype(np.float64) - table[indices]).sum())


@pytest.mark.skipif(kernels.backend != "native", reason="the dynamic program of the twin takes minutes")
@pytest.mark.parametrize(("k", "excess"), [(16, 1e-6), (256, 1e-4)])
@pytest.mark.parametrize("name", DRAWS)
def test_merging_costs_little_accuracy(name: str, k: int, excess: float) -> None:
    """One value less is solved exactly; one that has no weight makes the row long, and changes nothing."""
    row = DRAWS[name](COUNT - 1).astype(np.float32)
    table, indices = kernels.kmeans_rows(row[None], k)
    optimum = squared_error(row, table[0], indices[0])

    longer, weights = np.append(row, row[:1]), np.append(np.ones_like(row), np.float32(0))
    table, indices = kernels.kmeans_rows(longer[None], k, weights[None])
    assert optimum * (1 - 1e-8) <= squared_error(row, table[0], indices[0, :-1]) <= optimum * (1 + excess)


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
