from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mlpress.ops import normalization
from tests.torch.ops.draws import Array, assert_close, seeded, seeds, tensor

spatial_shapes = st.lists(st.integers(1, 4), min_size=1, max_size=3).map(tuple)
epsilons = st.sampled_from([1e-5, 1e-3, 0.5])


def _normalized(x: Array, axes: tuple[int, ...], epsilon: float) -> Array:
    x = x.astype(np.float64)
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + epsilon)


def _channels(vector: Array, x: Array) -> Array:
    return vector.reshape(-1, *[1] * (x.ndim - 2))


@settings(max_examples=25)
@given(spatial=spatial_shapes, seed=seeds, epsilon=epsilons, affine=st.booleans())
def test_batch_norm(spatial: tuple[int, ...], seed: int, epsilon: float, affine: bool) -> None:
    x, mean, variance = seeded(seed, 2, 3, *spatial), seeded(seed + 1, 3), np.abs(seeded(seed + 2, 3))
    gamma, beta = seeded(seed + 3, 3), seeded(seed + 4, 3)
    scale = 1 / np.sqrt(variance.astype(np.float64) + epsilon) * (gamma if affine else 1)
    expected = (x - _channels(mean, x)) * _channels(scale, x) + (_channels(beta, x) if affine else 0)
    parameters = (tensor(gamma), tensor(beta)) if affine else (None, None)
    moments = (tensor(mean), tensor(variance))
    assert_close(normalization.batch_norm(tensor(x), *moments, *parameters, epsilon), expected, 1e-4)
    learned = [moment.requires_grad_() for moment in moments]
    result = normalization.batch_norm(tensor(x), *learned, *parameters, epsilon)
    assert result.requires_grad
    assert_close(result.detach(), expected, 1e-4)


@settings(max_examples=25)
@given(spatial=spatial_shapes, seed=seeds, epsilon=epsilons)
def test_instance_norm(spatial: tuple[int, ...], seed: int, epsilon: float) -> None:
    x, gamma, beta = seeded(seed, 2, 3, *spatial), seeded(seed + 3, 3), seeded(seed + 4, 3)
    plain = _normalized(x, tuple(range(2, x.ndim)), epsilon)
    assert_close(normalization.instance_norm(tensor(x), epsilon=epsilon), plain, 1e-4)
    affine = normalization.instance_norm(tensor(x), tensor(gamma), tensor(beta), epsilon)
    assert_close(affine, plain * _channels(gamma, x) + _channels(beta, x), 1e-4)


@settings(max_examples=25)
@given(shape=arrays.array_shapes(min_dims=3, max_dims=5, max_side=4), seed=seeds, epsilon=epsilons)
def test_l2_norm_divides_by_the_length_over_the_last_three_axes(
    shape: tuple[int, ...], seed: int, epsilon: float
) -> None:
    x = seeded(seed, *shape)
    length = np.sqrt((x.astype(np.float64) ** 2).sum((-3, -2, -1), keepdims=True) + epsilon)
    assert_close(normalization.l2_norm(tensor(x), epsilon), x / length)


@settings(max_examples=60)
@given(shape=arrays.array_shapes(max_dims=5, max_side=4), seed=seeds, data=st.data())
def test_layer_norm_over_any_axes(shape: tuple[int, ...], seed: int, data: st.DataObject) -> None:
    x, epsilon, rank = seeded(seed, *shape), 1e-3, len(shape)
    axes = data.draw(st.lists(st.sampled_from(range(rank)), min_size=1, unique=True))
    sizes = [x.shape[axis] for axis in sorted(axes)]
    gamma, beta = seeded(seed + 1, *sizes), seeded(seed + 2, *sizes)
    wide = [size if axis in axes else 1 for axis, size in enumerate(x.shape)]
    plain = _normalized(x, tuple(axes), epsilon)
    given_axes = [axis - rank if data.draw(st.booleans()) else axis for axis in axes]
    assert_close(normalization.layer_norm(tensor(x), given_axes, epsilon=epsilon), plain, 1e-4)
    affine = normalization.layer_norm(tensor(x), given_axes, tensor(gamma), tensor(beta), epsilon)
    assert_close(affine, plain * gamma.reshape(wide) + beta.reshape(wide), 1e-4)


def test_layer_norm_is_over_all_axes_by_default() -> None:
    x = seeded(1, 3, 4)
    assert_close(normalization.layer_norm(tensor(x)), _normalized(x, (0, 1), 1e-5))


@settings(max_examples=25)
@given(size=st.integers(1, 5), channels=st.integers(1, 6), spatial=spatial_shapes, seed=seeds)
def test_local_response_norm_looks_at_neighbouring_channels(
    size: int, channels: int, spatial: tuple[int, ...], seed: int
) -> None:
    x = seeded(seed, 2, channels, *spatial)
    squares = x.astype(np.float64) ** 2
    expected = np.empty_like(squares)
    for channel in range(channels):
        first = channel - size // 2
        total = squares[:, max(first, 0) : first + size].sum(1)
        expected[:, channel] = x[:, channel] / (2 + 0.5 / size * total) ** 0.75
    assert_close(normalization.local_response_norm(tensor(x), size, 0.5, 0.75, 2.0), expected)


def test_parameters_of_another_type_are_brought_to_that_of_x() -> None:
    x, ones = torch.ones(1, 3, 4, dtype=torch.float16), torch.ones(3)
    assert normalization.batch_norm(x, ones, ones, ones, ones).dtype == torch.float16
    assert normalization.instance_norm(x, ones, ones).dtype == torch.float16
    assert normalization.layer_norm(x, [1], ones, ones).dtype == torch.float16
    assert normalization.layer_norm(x, [-1], torch.ones(4), torch.ones(4)).dtype == torch.float16
