"""k-means on vectors: the kernels against NumPy, and the solver against what it promises."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlpress.errors import NonFiniteWeightError
from mlpress.fit.vectors import kmeans_vectors
from mlpress.kernels import vectors
from mlpress.kernels.reference import vectors as reference

pytestmark = pytest.mark.usefixtures("variant")
per_variant = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40
)
DTYPES = [np.float16, np.float32]


def normal_points(count: int, dim: int, dtype: Any = np.float16, seed: int = 0) -> Any:
    return (np.random.default_rng(seed).standard_normal((count, dim)) * 0.05).astype(dtype)


def squared_error(points: Any, centroids: Any, labels: Any) -> float:
    return float(np.square(centroids[labels].astype(float) - points).sum())


def distances(points: Any, centroids: Any) -> Any:
    """[n, k], in float64."""
    return np.square(points.astype(float)[:, None] - centroids.astype(float)).sum(axis=2)


@per_variant
@given(size=st.integers(1, 200), dim=st.integers(1, 9), k=st.integers(1, 256), dtype=st.sampled_from(DTYPES))
def test_labels_are_the_nearest_centroids(size: int, dim: int, k: int, dtype: Any) -> None:
    points, table = normal_points(size, dim, dtype), normal_points(k, dim, np.float32, seed=1)
    labels = vectors.label(points, np.zeros(dim, np.float32), 1.0, table)
    all_distances = distances(points, table)
    chosen = np.take_along_axis(all_distances, labels[:, None].astype(int), axis=1)[:, 0]
    assert np.allclose(chosen, all_distances.min(axis=1), atol=1e-7)


@per_variant
@given(
    size=st.integers(1, 200),
    dim=st.integers(1, 6),
    k=st.integers(1, 12),
    weighted=st.booleans(),
    dtype=st.sampled_from(DTYPES),
)
def test_a_pass_of_lloyd_equals_the_reference(
    size: int, dim: int, k: int, weighted: bool, dtype: Any
) -> None:
    points, table = normal_points(size, dim, dtype), normal_points(k, dim, np.float32, seed=1) * 20
    mean = points.mean(axis=0, dtype=np.float32)
    weights = np.random.default_rng(2).random(size, dtype=np.float32) if weighted else None
    moved, errors = vectors.lloyd(points, weights, mean, 20.0, table, 1.5, 1, 0.0)
    expected, expected_errors = reference.lloyd(points, weights, mean, 20.0, table, 1.5, 1, 0.0)
    assert np.allclose(moved, expected, rtol=1e-4, atol=1e-5)
    assert np.allclose(errors, expected_errors, rtol=1e-4, atol=1e-5)


def test_seeds_are_points_far_from_each_other() -> None:
    corners = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
    points = np.repeat(corners, 50, axis=0) + normal_points(200, 2, np.float32) * 0.1
    draws = np.random.default_rng(0).random((4, 3))
    seeds = vectors.seed(points, None, np.zeros(2, np.float32), 1.0, draws)
    assert sorted(np.rint(seeds).tolist()) == corners.tolist()
    assert np.array_equal(seeds, reference.seed(points, None, np.zeros(2, np.float32), 1.0, draws))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("dim", [2, 3, 4])
def test_well_separated_clusters_are_found(dim: int, dtype: Any) -> None:
    centres = np.random.default_rng(5).permutation(np.arange(16)).reshape(-1, 1) * 4 + np.arange(dim)
    which = np.random.default_rng(1).integers(0, 16, 3000)
    points = (centres[which] + normal_points(3000, dim)).astype(dtype)
    table, labels = kmeans_vectors(points, 16)
    assert table.dtype == dtype and labels.dtype == np.uint8
    assert np.allclose(np.sort(table[:, 0]), np.sort(centres[:, 0]), atol=0.05)
    assert len(set(zip(which.tolist(), labels.tolist(), strict=True))) == 16


@pytest.mark.parametrize("dim", [2, 4])
def test_the_error_is_that_of_a_good_clustering(dim: int) -> None:
    # scikit-learn's k-means++ with tol=1e-2 gets 0.1098 and 0.348 of the variance on such points.
    points = normal_points(20_000, dim)
    table, labels = kmeans_vectors(points, 16)
    assert squared_error(points, table, labels) / (0.05**2 * points.size) < {2: 0.1105, 4: 0.350}[dim]


@pytest.mark.parametrize("dim", [2, 4])
def test_a_point_so_far_that_it_is_worth_a_centroid_gets_one(dim: int) -> None:
    points = normal_points(40_000, dim)
    outliers = [11, 20_000, 39_999]
    points[outliers] = np.array([[5, 0], [-3, 4], [0, -8]], np.float16).repeat(dim // 2, axis=1)
    table, labels = kmeans_vectors(points, 16)
    assert np.array_equal(table[labels[outliers]], points[outliers])
    assert np.bincount(labels)[labels[outliers]].tolist() == [1, 1, 1]
    # The 13 other centroids serve their points about as well as if there were no outliers.
    plain = np.delete(points, outliers, axis=0)
    assert squared_error(points, table, labels) < 1.02 * squared_error(plain, *kmeans_vectors(plain, 13))


def test_labels_belong_to_the_rounded_table() -> None:
    points = (1000 + normal_points(5000, 2, np.float32)).astype(np.float32)
    table, labels = kmeans_vectors(points, 32)
    all_distances = distances(points, table)
    chosen = np.take_along_axis(all_distances, labels[:, None].astype(int), axis=1)[:, 0]
    assert np.allclose(chosen, all_distances.min(axis=1), atol=1e-7)
    assert chosen.mean() < 0.1 * points.var(axis=0).sum()


def test_weights_say_where_the_error_counts() -> None:
    points = np.concatenate([normal_points(2000, 2), normal_points(2000, 2) + np.float16(10)])
    weights = np.repeat(np.array([1, 1e-6], np.float32), 2000)
    _, labels = kmeans_vectors(points, 16, weights=weights)
    _, plain = kmeans_vectors(points, 16)
    assert len(set(labels[:2000].tolist())) > len(set(plain[:2000].tolist()))


@pytest.mark.parametrize("dtype", DTYPES)
def test_few_distinct_points_are_kept_exactly(dtype: Any) -> None:
    distinct = np.array([[0.5, -1], [2, 3], [-4, 0.25]], dtype)
    points = distinct[np.random.default_rng(0).integers(0, 3, 500)]
    table, labels = kmeans_vectors(points, 4)
    assert np.array_equal(table[labels], points)
    assert table[3].tolist() == [0, 0]


def test_equal_points_beyond_the_head_do_not_hide_the_others() -> None:
    points = np.concatenate([np.zeros((5000, 2), np.float32), normal_points(40, 2, np.float32)])
    table, labels = kmeans_vectors(points, 16)
    assert squared_error(points, table, labels) < 0.4 * float(np.square(points.astype(float)).sum())


def test_the_same_seed_gives_the_same_result() -> None:
    points = normal_points(9000, 2)
    first, second = kmeans_vectors(points, 64, seed=3), kmeans_vectors(points, 64, seed=3)
    assert first[0].tobytes() == second[0].tobytes() and first[1].tobytes() == second[1].tobytes()


def test_no_points_and_one_point() -> None:
    table, labels = kmeans_vectors(np.zeros((0, 2), np.float16), 4)
    assert table.tolist() == [[0, 0]] * 4 and labels.size == 0
    table, labels = kmeans_vectors(np.array([[1, 2]], np.float16), 4)
    assert table[labels].tolist() == [[1, 2]]


@pytest.mark.parametrize("magnitude", [1e-30, 1e-20, 1e15])
def test_any_magnitude_works(magnitude: float) -> None:
    points = (normal_points(3000, 2, np.float32) * np.float32(magnitude)).astype(np.float32)
    table, labels = kmeans_vectors(points, 16)
    ratio = squared_error(points / np.float32(magnitude), table / np.float32(magnitude), labels)
    assert ratio / (0.05**2 * points.size) < 0.13


@pytest.mark.parametrize("far", [1e10, 1e30, 3e38])
def test_points_far_away_do_no_harm(far: float) -> None:
    points = normal_points(3000, 2, np.float32)
    points[5], points[1500] = far, -far
    table, labels = kmeans_vectors(points, 16)
    assert np.isfinite(table).all()
    near = np.abs(points).max(axis=1) < 1
    error = squared_error(points[near], table, labels[near]) / (0.05**2 * points.size)
    assert error < (0.16 if far < 1e38 else 1.1)


def test_bad_arguments_are_refused() -> None:
    points = normal_points(100, 2)
    with pytest.raises(ValueError, match="k is 257; allowed: 1 to 256"):
        kmeans_vectors(points, 257)
    with pytest.raises(ValueError, match=r"points have shape \(200,\)"):
        kmeans_vectors(points.reshape(-1), 4)
    with pytest.raises(ValueError, match="float64"):
        kmeans_vectors(points.astype(float), 4)
    points[7, 1] = np.nan
    with pytest.raises(NonFiniteWeightError, match="1 of 200 values are NaN or infinite"):
        kmeans_vectors(points, 4)
