"""The mask kernels, every variant, against definitions in plain NumPy; and what the masks refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from mlpress.errors import NonFiniteWeightError
from mlpress.fit.masks import block_mask, magnitude_mask, n_m_mask, threshold_mask
from mlpress.kernels import masks
from mlpress.kernels.reference import masks as reference

pytestmark = pytest.mark.usefixtures("variant")
per_variant = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=100
)
DTYPES = st.sampled_from([np.float16, np.float32])


def finite(dtype: Any) -> st.SearchStrategy[float]:
    few = st.sampled_from([0.0, -0.0, 1.0, -1.0, 0.5])
    return st.one_of(
        few, st.floats(allow_nan=False, allow_infinity=False, width=np.dtype(dtype).itemsize * 8)
    )


def bits(packed: Any, shape: tuple[int, ...]) -> Any:
    assert packed.size == -(-int(np.prod(shape)) // 8)
    unpacked = np.unpackbits(packed, bitorder="little")
    count = int(np.prod(shape))
    assert not unpacked[count:].any()
    return unpacked[:count].reshape(shape)


@per_variant
@given(data=st.data(), dtype=DTYPES, size=st.integers(1, 200))
def test_the_pair_is_two_neighbours_of_the_sorted_magnitudes(
    data: st.DataObject, dtype: Any, size: int
) -> None:
    values = data.draw(arrays(dtype, size, elements=finite(dtype)))
    rank = data.draw(st.integers(0, size - 1))
    ordered = np.sort(np.abs(values))
    assert masks.magnitude_pair(values, rank) == (ordered[rank], ordered[min(rank + 1, size - 1)])


@per_variant
@given(data=st.data(), dtype=DTYPES, size=st.integers(0, 200))
def test_bits_are_set_above_the_threshold(data: st.DataObject, dtype: Any, size: int) -> None:
    values = data.draw(arrays(dtype, size, elements=finite(dtype)))
    threshold = data.draw(st.one_of(st.sampled_from([0.0, 0.5, 1.0, 1e300, float("inf")]), st.floats(0, 1e6)))
    with np.errstate(over="ignore"):
        rounded = np.array([threshold]).astype(dtype)[0]
    assert np.array_equal(bits(masks.magnitude_above(values, threshold), (size,)), np.abs(values) > rounded)


@per_variant
@given(
    data=st.data(), dtype=DTYPES, shape=array_shapes(min_dims=3, max_dims=3, max_side=9), m=st.integers(1, 9)
)
def test_n_of_m_equals_a_stable_sort(data: st.DataObject, dtype: Any, shape: Any, m: int) -> None:
    values = data.draw(arrays(dtype, shape, elements=finite(dtype)))
    n = data.draw(st.integers(0, m))
    assert np.array_equal(masks.n_of_m(values, n, m), reference.n_of_m(values, n, m))


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize("size", [1, 31, 32, 33, 70_001])
def test_non_finite_values_are_counted(size: int, dtype: type) -> None:
    values = np.zeros(size, dtype)
    assert masks.count_non_finite(values) == 0
    values[-1] = -np.inf
    values[: size // 2] = np.nan
    assert masks.count_non_finite(values) == size // 2 + 1


def test_magnitude_prunes_the_smallest_and_every_tie() -> None:
    weight = np.array([[0.5, -3.0, 1.0], [2.0, -0.5, 0.0]], np.float32)
    assert bits(magnitude_mask(weight, 0.5), (2, 3)).tolist() == [[0, 1, 1], [1, 0, 0]]
    assert bits(magnitude_mask(weight, 0.0), (2, 3)).tolist() == [[1, 1, 1], [1, 1, 0]]
    assert bits(magnitude_mask(weight, 1.0), (2, 3)).tolist() == [[0, 0, 0], [0, 0, 0]]


def test_threshold_keeps_what_is_above_it() -> None:
    weight = np.array([0.1, -0.2, 0.3], np.float16)
    assert bits(threshold_mask(weight, 0.2), (3,)).tolist() == [0, 0, 1]


def test_blocks_go_as_a_whole_and_zeros_go_anyway() -> None:
    weight = np.array([[1, 9], [2, 0], [3, 1], [4, 1]], np.float32)
    assert bits(block_mask(weight, 0.5, 2, 0), (4, 2)).tolist() == [[0, 1], [0, 0], [1, 0], [1, 0]]


def test_blocks_of_tiny_weights_stay_where_nothing_is_to_be_pruned() -> None:
    weight = np.full((4, 2), 2.0**-20, np.float16)  # whose squares are zero in float16
    assert bits(block_mask(weight, 0, 2, 0), (4, 2)).all()


def expected_blocks(weight: Any, sparsity: float, size: int, axis: int) -> Any:
    """Blocks above the percentile of the norms, in float64, of a weight of rank 2."""
    wide = np.moveaxis(weight.astype(np.float64), axis, 0)
    norms = np.concatenate(
        [
            np.broadcast_to(np.linalg.norm(block, axis=0), block.shape)
            for block in np.split(wide, range(size, len(wide), size))
        ]
    )
    return np.moveaxis(norms > np.percentile(norms, 100 * sparsity), 0, axis) & (weight != 0)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize(("shape", "size"), [((64, 48), 4), ((33, 22), 4), ((40, 40), 16)])
@pytest.mark.parametrize(
    ("dtype", "magnitude"),
    [
        *((np.float16, magnitude) for magnitude in (3e-5, 1e-4, 3e-4, 2e-3, 10000)),
        *((np.float32, magnitude) for magnitude in (1e-40, 1e-30, 1e-23, 1e-19, 1e20, 1e37)),
    ],
)
def test_blocks_of_least_norm_go_whatever_the_size_of_the_weights(
    dtype: Any, magnitude: float, shape: tuple[int, int], size: int, axis: int
) -> None:
    weight = (np.random.default_rng(0).standard_normal(shape) * magnitude).astype(dtype)
    for sparsity in (0.1, 0.5, 0.8):
        kept = bits(block_mask(weight, sparsity, size, axis), shape)
        assert np.array_equal(kept, expected_blocks(weight, sparsity, size, axis))
        assert abs(1 - sparsity - kept.mean()) < 0.05


@pytest.mark.parametrize(("dtype", "tiny", "huge"), [(np.float16, 1e-5, 60000), (np.float32, 1e-40, 3e38)])
def test_blocks_of_tiny_and_huge_weights_in_one_weight(dtype: Any, tiny: float, huge: float) -> None:
    weight = np.array([[tiny], [tiny], [3 * tiny], [3 * tiny], [1], [1], [huge], [huge]], dtype)
    for pruned in (1, 2, 3):
        kept = bits(block_mask(weight, pruned / 4, 2, 0), (8,))
        assert kept.tolist() == [0] * 2 * pruned + [1] * (8 - 2 * pruned)


def test_zeros_are_pruned_before_blocks_of_tiny_weights() -> None:
    weight = np.zeros((8, 4), np.float16)
    weight[6:] = 2.0**-20
    assert bits(block_mask(weight, 0.5, 2, 0), (8, 4)).tolist() == [[0] * 4] * 6 + [[1] * 4] * 2


def test_n_of_m_along_the_input_channels() -> None:
    weight = np.array([[1, 2, 3, 4, 4, 3, 2, 1]], np.float16)
    assert bits(n_m_mask(weight, 2, 4, 1), (1, 8)).tolist() == [[0, 0, 1, 1, 1, 1, 0, 0]]


def test_groups_too_large_to_compare_pairwise_are_sorted() -> None:
    weight = np.arange(1, 201, dtype=np.float32)[None]
    assert bits(n_m_mask(weight, 60, 100, 1), (200,)).tolist() == ([0] * 60 + [1] * 40) * 2


@pytest.mark.parametrize(
    "prune",
    [
        lambda w: magnitude_mask(w, 0.5),
        lambda w: threshold_mask(w, 0.1),
        lambda w: block_mask(w, 0.5, 2, 0),
        lambda w: n_m_mask(w, 1, 2, 1),
    ],
)
def test_a_weight_with_nan_or_infinity_is_refused(prune: Any) -> None:
    weight = np.ones((8, 8), np.float16)
    weight[3, 3], weight[0, 0] = np.nan, np.inf
    with pytest.raises(NonFiniteWeightError, match="2 of 64 values are NaN or infinite"):
        prune(weight)


def test_arguments_out_of_range_are_named() -> None:
    weight = np.ones((8, 8), np.float16)
    with pytest.raises(ValueError, match=r"sparsity is 1.5; allowed: 0 to 1"):
        magnitude_mask(weight, 1.5)
    with pytest.raises(ValueError, match=r"threshold is -1; allowed: 0 or above"):
        threshold_mask(weight, -1)
    with pytest.raises(ValueError, match=r"n:m is 3:2"):
        n_m_mask(weight, 3, 2, 0)
    with pytest.raises(ValueError, match="axis is 2; allowed: 0 or 1"):
        n_m_mask(weight, 1, 2, 2)
    with pytest.raises(ValueError, match="float64"):
        magnitude_mask(weight.astype(float), 0.5)


def test_an_empty_weight_has_an_empty_mask() -> None:
    assert magnitude_mask(np.zeros((0, 4), np.float16), 0.5).size == 0
