"""Masks equal coremltools' bit for bit: the peer's own functions are called on the same weights."""

from __future__ import annotations

import numpy as np
import pytest
from coremltools.optimize.coreml._quantization_passes import prune_weights as peer

from mlpress.errors import NotApplicableError
from mlpress.fit.masks import block_mask, magnitude_mask, n_m_mask, threshold_mask

DTYPES = [np.float16, np.float32]
# Before 2.4, NumPy counts in float16 when it takes a percentile of float16 values: wrong beyond 2048 of them.
EXACT_HALF_PERCENTILES = np.lib.NumpyVersion(np.__version__) >= "2.4.0"
PERCENTILE_DTYPES = DTYPES if EXACT_HALF_PERCENTILES else [np.float32]
SHAPES = [(1, 1), (7, 3), (40, 9), (64, 48), (30, 20, 3, 3), (300, 257)]


def sample(shape: tuple[int, ...], dtype: type, seed: int) -> np.ndarray:
    """Weights with ties and zeros; every third one has few distinct values."""
    rng = np.random.default_rng(seed)
    weight = rng.standard_normal(shape) * rng.uniform(0.01, 3)
    if seed % 3 == 0:
        weight = np.round(weight, 1)
    weight[rng.random(shape) < 0.05] = 0
    return weight.astype(dtype)


@pytest.mark.parametrize("dtype", PERCENTILE_DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_magnitude(shape: tuple[int, ...], dtype: type) -> None:
    for seed in range(12):
        weight = sample(shape, dtype, seed)
        for sparsity in (0, 0.1, 0.29, 0.5, 0.75, 0.8, 0.999, 1.0, np.random.default_rng(seed).random()):
            theirs = peer.compress_by_magnitude(weight, float(sparsity)).mask
            assert np.array_equal(magnitude_mask(weight, float(sparsity)), theirs), (seed, sparsity)


def test_magnitude_of_more_values_than_float16_can_count() -> None:
    weight = sample((300, 400), np.float16, 1)
    kept = np.unpackbits(magnitude_mask(weight, 0.8), bitorder="little").mean()
    assert kept == pytest.approx(0.2, abs=0.002)
    if EXACT_HALF_PERCENTILES:
        assert np.array_equal(magnitude_mask(weight, 0.8), peer.compress_by_magnitude(weight, 0.8).mask)


@pytest.mark.parametrize("dtype", PERCENTILE_DTYPES)
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize(
    "shape", [(40, 16), (33, 21), (64, 48, 1, 1), (30, 20, 3, 3), (16, 8, 5), (301, 257)]
)
def test_blocks(shape: tuple[int, ...], axis: int, dtype: type) -> None:
    sizes = [size for size in (2, 3, 4, 20, 101) if size <= shape[axis] / 2]
    for seed, block_size in enumerate(sizes):
        weight = sample(shape, dtype, seed)
        for sparsity in (0, 0.3, 0.5, 0.8, 1):
            theirs = peer.compress_by_magnitude(weight, sparsity, block_size, axis).mask
            assert np.array_equal(block_mask(weight, sparsity, block_size, axis), theirs)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("shape", [(40, 16), (33, 21), (64, 48, 1, 1), (30, 20, 3, 3), (16, 8, 5)])
def test_n_of_m(shape: tuple[int, ...], axis: int) -> None:
    # Values without ties: the peer's sort is not stable.
    count = int(np.prod(shape))
    for seed, (n, m) in enumerate([(1, 2), (2, 4), (3, 4), (1, 3)]):
        for dtype in DTYPES:
            signs = np.random.default_rng(seed).choice([-1, 1], count)
            weight = (np.random.default_rng(seed).permutation(count) * signs).reshape(shape).astype(dtype)
            if dtype == np.float16:
                weight = np.arange(1, count + 1, dtype=np.uint16).view(np.float16)
                weight = np.random.default_rng(seed).permutation(weight).reshape(shape)
            theirs = peer.compress_by_nm_sparsity(weight, (n, m), axis).mask
            assert np.array_equal(n_m_mask(weight, n, m, axis), theirs)


def test_n_of_m_prunes_exactly_n_where_magnitudes_are_equal() -> None:
    kept = np.unpackbits(n_m_mask(np.ones((8, 16), np.float32), 2, 4, 1), bitorder="little")
    assert (kept.reshape(-1, 4) == [0, 0, 1, 1]).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_threshold(dtype: type) -> None:
    for seed in range(6):
        weight = sample((50, 30), dtype, seed)
        for threshold in (0, 1e-12, 1e-3, 0.1, 0.3, 100):
            theirs = peer.compress_by_threshold(weight, threshold, minimum_sparsity_percentile=0).mask
            assert np.array_equal(threshold_mask(weight, threshold), theirs)


def test_blocks_whose_squares_overflow_float16_are_ranked_by_their_true_norm() -> None:
    weight = (np.arange(1, 33, dtype=np.float32).reshape(8, 4) * 1000).astype(np.float16)
    kept = np.unpackbits(block_mask(weight, 0.5, 2, 0), bitorder="little").reshape(8, 4)
    assert not kept[:4].any() and kept[4:].all()


def test_what_the_peer_skips_is_refused_with_the_reason() -> None:
    weight = np.ones((6, 4), np.float32)
    assert peer.compress_by_magnitude(weight, 0.5, 4, 0) is None
    with pytest.raises(NotApplicableError, match="block_size is 4, more than half of the 6 channels"):
        block_mask(weight, 0.5, 4, 0)
    assert peer.compress_by_nm_sparsity(weight, (2, 4), 1) is None
    with pytest.raises(NotApplicableError, match="m is 4, more than half of the 4 channels"):
        n_m_mask(weight, 2, 4, 1)
