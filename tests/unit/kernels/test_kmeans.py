"""Scalar k-means, against a dynamic program that tries every partition of small inputs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlpress import kernels
from mlpress.errors import NonFiniteWeightError
from mlpress.fit.kmeans import KMeansResult, kmeans_groups

per_variant = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150
)
seeds = st.integers(0, 2**32 - 1)

pytestmark = pytest.mark.usefixtures("variant")


def least_cost(values: np.ndarray, weights: np.ndarray, k: int, *, on_integers: bool) -> float:
    """The error of the best k intervals: a dynamic program in O(k m^2) over the sorted distinct values."""
    m = values.size
    cost = np.full((m + 1, m + 1), np.inf)
    for start in range(m):
        x = values[start:] - values[start]  # near the interval's own values no digit is lost
        mass, first, second = (np.cumsum(weights[start:] * x**power) for power in range(3))
        centroid = np.floor(first / mass + 0.5) if on_integers else first / mass
        cost[start, start + 1 :] = np.maximum(second - centroid * (2 * first - centroid * mass), 0)
    best = np.full(m + 1, np.inf)
    best[0] = 0
    for _ in range(k):
        best = np.min(best[:, None] + cost, axis=0)
    return float(best[m])


def squared_error(row: np.ndarray, weights: np.ndarray, table: np.ndarray, indices: np.ndarray) -> float:
    return float((weights * (row.astype(np.float64) - table.astype(np.float64)[indices]) ** 2).sum())


def sample(rng: np.random.Generator, shape: str, size: int) -> np.ndarray:
    """Rows on which clustering solvers go wrong: ties, symmetry, repeats, wide ranges, a large offset."""
    if shape == "normal":
        return rng.normal(size=size)
    if shape == "few integers":
        return rng.integers(-6, 7, size).astype(float)
    if shape == "even steps":
        return np.arange(size, dtype=float)
    if shape == "symmetric":
        half = np.abs(rng.normal(size=(size + 1) // 2))
        return np.concatenate([half, -half])
    if shape == "powers of two":
        return rng.choice([-1.0, 1.0], size) * 2.0 ** rng.integers(-10, 10, size)
    if shape == "offset":
        return 1000 + rng.normal(size=size) * 1e-2
    assert shape == "mostly zero"
    return np.where(rng.random(size) < 0.8, 0.0, rng.normal(size=size))


shapes = st.sampled_from(
    ["normal", "few integers", "even steps", "symmetric", "powers of two", "offset", "mostly zero"]
)


@per_variant
@given(
    shape=shapes,
    size=st.integers(1, 120),
    k=st.sampled_from([1, 2, 3, 4, 7, 16, 40]),
    weighted=st.booleans(),
    dtype=st.sampled_from([np.float16, np.float32]),
    seed=seeds,
)
def test_floats_reach_the_optimum(
    shape: str, size: int, k: int, weighted: bool, dtype: type, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    row = sample(rng, shape, size).astype(dtype)
    weights = (rng.random(row.size) ** 4).astype(np.float32) if weighted else None
    mass = np.ones(row.size) if weights is None else weights.astype(np.float64)

    result = kmeans_groups(row[None], k, weights=None if weights is None else weights[None])
    table, indices = result.table[0], result.indices[0]
    assert table.dtype == dtype
    error = squared_error(row, mass, table, indices)

    values, value_weights = kernels.distinct_values(row, weights)
    if values.size <= k:
        assert np.array_equal(table, np.pad(values, (0, k - values.size)).astype(dtype))
        return
    optimum = least_cost(values, value_weights, k, on_integers=False)
    # Rounding a centroid by h adds h^2 for each unit of weight.
    rounding = float(np.spacing(np.abs(table).max())) / 2
    assert error <= (optimum + mass.sum() * rounding**2) * (1 + 1e-6)
    assert np.array_equal(indices, np.abs(row.astype(float)[:, None] - table.astype(float)).argmin(axis=1))


@per_variant
@given(
    shape=shapes,
    size=st.integers(1, 200),
    k=st.sampled_from([1, 2, 3, 4, 7, 16]),
    weighted=st.booleans(),
    seed=seeds,
)
def test_integers_reach_the_optimum_over_integer_centroids(
    shape: str, size: int, k: int, weighted: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    row = np.clip(np.round(sample(rng, shape, size) * 10), -128, 127).astype(np.int8)
    weights = rng.integers(1, 9, row.size).astype(np.float32) if weighted else None
    mass = np.ones(row.size) if weights is None else weights.astype(np.float64)
    values, value_weights = kernels.distinct_values(row, weights)

    for group, optimum_of in ((row, values), ((row.astype(int) + 128).astype(np.uint8), values + 128)):
        result = kmeans_groups(group[None], k, weights=None if weights is None else weights[None])
        assert result.table.dtype == group.dtype
        error = squared_error(group, mass, result.table[0], result.indices[0])
        expected = 0.0 if values.size <= k else least_cost(optimum_of, value_weights, k, on_integers=True)
        assert error == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("k", [2, 16, 70])
def test_a_long_row_of_halves_agrees_with_a_short_cut_through_its_distinct_values(k: int) -> None:
    """Rows this long are counted in bins, and mapped through a table of all halves."""
    row = (np.random.default_rng(k).normal(size=20_000) * 0.3).astype(np.float16)
    row[:7] = [0.0, -0.0, 65504, -65504, 6e-8, -6e-8, -0.0]
    values, counts = kernels.distinct_values(row)
    expected_values, expected_counts = np.unique(row.astype(np.float64) + 0.0, return_counts=True)
    assert np.array_equal(values, expected_values)
    assert np.array_equal(counts, expected_counts)

    by_rows = kmeans_groups(row[None], k)
    by_values = kmeans_groups(values.astype(np.float16)[None], k, weights=counts.astype(np.float32)[None])
    assert np.array_equal(by_rows.table, by_values.table)
    places = np.searchsorted(values, row.astype(np.float64) + 0.0)
    assert np.array_equal(by_rows.indices[0], by_values.indices[0][places])


def test_each_group_is_clustered_by_itself() -> None:
    groups = np.random.default_rng(0).normal(size=(5, 300)).astype(np.float16)
    together = kmeans_groups(groups, 8)
    for g in range(5):
        alone = kmeans_groups(groups[g : g + 1], 8)
        assert np.array_equal(together.table[g], alone.table[0])
        assert np.array_equal(together.indices[g], alone.indices[0])


def test_few_distinct_values_are_kept_exactly_and_the_table_ends_in_zeros() -> None:
    groups = np.array([[3, -1, 3, 2.5]], np.float16)
    result = kmeans_groups(groups, 5)
    assert result.table.tolist() == [[-1, 2.5, 3, 0, 0]]
    assert result.indices.tolist() == [[2, 0, 2, 1]]


def test_both_zeros_are_one_value() -> None:
    result = kmeans_groups(np.array([[0.0, -0.0, 1.0]], np.float32), 2)
    assert result.table.tolist() == [[0, 1]]
    assert result.indices.tolist() == [[0, 0, 1]]


def test_weights_move_the_centroids() -> None:
    groups = np.array([[0.0, 1.0, 10.0]], np.float32)
    result = kmeans_groups(groups, 2, weights=np.array([[3.0, 1.0, 1.0]], np.float32))
    assert result.table.tolist() == [[0.25, 10]]


def test_weightless_values_still_get_the_nearest_centroid() -> None:
    groups = np.array([[0.0, 4.0, 5.0, 9.0]], np.float32)
    result = kmeans_groups(groups, 2, weights=np.array([[1.0, 0.0, 0.0, 1.0]], np.float32))
    assert result.table.tolist() == [[0, 9]]
    assert result.indices.tolist() == [[0, 0, 1, 1]]


def test_a_group_without_any_weight_is_clustered_as_if_unweighted() -> None:
    groups = np.array([[0.0, 1.0, 9.0, 10.0]], np.float16)
    result = kmeans_groups(groups, 2, weights=np.zeros((1, 4), np.float32))
    assert result.table.tolist() == [[0.5, 9.5]]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.int8, np.uint8])
def test_empty_groups_have_tables_of_zeros(dtype: type) -> None:
    result = kmeans_groups(np.zeros((2, 0), dtype), 4)
    assert result.table.tolist() == [[0] * 4] * 2
    assert result.indices.shape == (2, 0)
    assert kmeans_groups(np.zeros((0, 9), dtype), 4).table.shape == (0, 4)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_values_that_are_not_finite_are_counted(dtype: type) -> None:
    groups = np.array([[1, np.nan, 2], [np.inf, -np.inf, 3]], dtype)
    with pytest.raises(NonFiniteWeightError, match="3 of 6 values are NaN or infinite"):
        kmeans_groups(groups, 2)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_one_value_that_is_not_finite_is_found_in_a_long_row(bad: float) -> None:
    row = np.linspace(-1, 1, 20000).astype(np.float16)
    row[777] = bad
    with pytest.raises(NonFiniteWeightError, match="1 of 20000 values are NaN or infinite"):
        kmeans_groups(row[None], 16)


def test_bad_arguments_are_named() -> None:
    groups = np.zeros((1, 3), np.float16)
    with pytest.raises(ValueError, match="k is 257; allowed are 1 to 256"):
        kmeans_groups(groups, 257)
    with pytest.raises(ValueError, match="float64; allowed are float16, float32, int8, uint8"):
        kmeans_groups(groups.astype(np.float64), 2)
    with pytest.raises(ValueError, match=r"weights has shape \(1, 2\); \(1, 3\) is expected"):
        kmeans_groups(groups, 2, weights=np.ones((1, 2), np.float32))
    with pytest.raises(ValueError, match=r"a weight is -1\.0"):
        kmeans_groups(groups, 2, weights=np.array([[1, -1, 1]], np.float32))
    with pytest.raises(ValueError, match=r"\[G, k\] and \[G, n\]"):
        KMeansResult(np.zeros((1, 4), np.float16), np.zeros((2, 9), np.uint8))


@per_variant
@given(
    size=st.sampled_from([1, 50, 3000]),
    entries=st.sampled_from([1, 2, 5, 16, 40, 256]),
    dtype=st.sampled_from([np.float16, np.float32, np.int8, np.uint8]),
    seed=seeds,
)
def test_nearest_is_the_first_of_the_nearest_entries(size: int, entries: int, dtype: type, seed: int) -> None:
    rng = np.random.default_rng(seed)
    row = rng.integers(0, 120, size).astype(dtype)  # small integers: many ties
    table = rng.integers(0, 120, entries).astype(np.float64)
    distance = np.abs(row.astype(np.float64)[:, None] - table)
    assert np.array_equal(kernels.nearest_rows(row[None], table[None])[0], distance.argmin(axis=1))


@pytest.mark.parametrize("entries", [1, 2, 3, 4, 7, 8, 9, 16, 17, 36])
def test_nearest_handles_every_half(entries: int) -> None:
    halves = np.arange(65536, dtype=np.uint16).view(np.float16)
    halves = halves[np.isfinite(halves)]
    table = np.array([-70000.0, -3.0, -1e-8, 0.0, 2e-8, 0.5, 1e4] + [0.01 * i for i in range(1, 30)])
    table = table[:entries]
    distance = np.abs(halves.astype(np.float64)[:, None] - table)
    assert np.array_equal(kernels.nearest_rows(halves[None], table[None])[0], distance.argmin(axis=1))


def test_nearest_refuses_tables_that_do_not_fit() -> None:
    rows = np.zeros((2, 3), np.float16)
    with pytest.raises(ValueError, match=r"tables has shape \(1, 4\); \[2, 1 to 256\] is expected"):
        kernels.nearest_rows(rows, np.zeros((1, 4)))
    with pytest.raises(ValueError, match="1 table entries are not finite"):
        kernels.nearest_rows(rows, np.array([[0, 1], [np.nan, 1]]))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.int8])
def test_distinct_values_sum_the_weights(dtype: type) -> None:
    row = np.array([3, 1, 3, 0, 1, 3], dtype)
    values, counts = kernels.distinct_values(row)
    assert values.tolist() == [0, 1, 3]
    assert counts.tolist() == [1, 2, 3]
    values, weights = kernels.distinct_values(row, np.array([1, 2, 3, 0, 5, 6], np.float32))
    assert values.tolist() == [1, 3]
    assert weights.tolist() == [7, 10]


def test_nonfinite_values_are_counted_in_any_shape() -> None:
    array = np.zeros((300, 500), np.float16)
    array[::2] = np.inf
    array[1, :3] = np.nan
    assert kernels.count_nonfinite(array) == 150 * 500 + 3
    assert kernels.count_nonfinite(array.astype(np.float32)) == 150 * 500 + 3
    assert kernels.count_nonfinite(np.ones(3, np.int8)) == 0
