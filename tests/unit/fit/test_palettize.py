from __future__ import annotations

import re

import numpy as np
import pytest

from mlpress.encoding import Lut, decode
from mlpress.errors import RecipeError
from mlpress.fit.layout import Layout
from mlpress.recipe import Palettize, Prune, Quantize, Stage
from tests.unit.fit.samples import fit, refusal, squared_error, weight


def table_of(values: np.ndarray, stage: Palettize, *, layout: Layout | None = None) -> np.ndarray:
    encoding = fit(values, stage, layout=layout)
    assert isinstance(encoding, Lut)
    return decode(encoding.table)


@pytest.mark.parametrize("nbits", [1, 2, 3, 4, 6, 8])
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_kmeans_assigns_each_weight_to_the_nearest_entry(nbits: int, dtype: type) -> None:
    values = weight(dtype=dtype)
    table = table_of(values, Palettize(nbits=nbits))
    assert table.shape == (1, 1, 1 << nbits, 1)
    distance = np.abs(values.astype(np.float64)[..., None] - table.reshape(-1).astype(np.float64))
    assert squared_error(values, fit(values, Palettize(nbits=nbits))) == pytest.approx(
        np.square(distance.min(axis=-1)).sum()
    )


def test_uniform_entries_go_evenly_from_the_least_to_the_greatest_weight() -> None:
    values = np.linspace(-2, 4, 64, dtype=np.float32).reshape(8, 8)
    table = table_of(values, Palettize(nbits=2, mode="uniform"))
    np.testing.assert_allclose(table.reshape(-1), [-2, 0, 2, 4])
    assert np.abs(decode(fit(values, Palettize(nbits=2, mode="uniform"))) - values).max() <= 1.001


def test_unique_takes_the_fewest_bits_that_hold_all_values_and_loses_nothing() -> None:
    values = np.random.default_rng(0).choice([-1, 0.5, 2, 3, 7], size=(16, 16)).astype(np.float16)
    encoding = fit(values, Palettize(mode="unique"))
    assert isinstance(encoding, Lut)
    assert encoding.indices.dtype.name == "uint3"
    np.testing.assert_array_equal(decode(encoding), values)


def test_unique_refuses_more_than_256_values() -> None:
    values = np.arange(1024, dtype=np.float16).reshape(32, 32)
    assert "1024 different values; mode 'unique' takes 256 at most" in refusal(
        values, Palettize(mode="unique")
    )


@pytest.mark.parametrize(
    ("stage", "layout", "tables"),
    [
        (Palettize(nbits=2, group_size=8), Layout(), (4, 1, 1, 1)),
        (Palettize(nbits=2, group_size=8), Layout(output_axis=1, input_axis=0), (1, 2, 1, 1)),
        (Palettize(nbits=2, group_size=8, channel_axis=0), Layout(output_axis=1), (4, 1, 1, 1)),
        (Palettize(nbits=2, group_size=4, channel_axis=-3), Layout(), (1, 4, 1, 1)),
    ],
)
def test_channels_of_a_group_share_a_table(stage: Palettize, layout: Layout, tables: tuple[int, ...]) -> None:
    table = table_of(weight((32, 16, 3, 3)), stage, layout=layout)
    assert table.shape == (*tables, 4, 1)


@pytest.mark.parametrize(
    ("stage", "layout", "reason"),
    [
        (
            Palettize(nbits=2, group_size=5),
            Layout(),
            "group_size 5 does not divide the 32 channels of axis 0",
        ),
        (Palettize(nbits=2, channel_axis=2), Layout(), "channel_axis 2 is outside -2 to 1"),
        (Palettize(nbits=2, cluster_dim=5), Layout(), "cluster_dim 5 does not divide the 32 channels"),
        (
            Palettize(nbits=2, cluster_dim=4, group_size=2),
            Layout(),
            "cluster_dim 4 does not divide the 2 channels",
        ),
        (
            Palettize(nbits=2, cluster_dim=16),
            Layout(groups=4),
            "cluster_dim 16 does not divide the 8 channels",
        ),
        (Palettize(nbits=2, group_size=4), Layout(output_axis=None), "disagree on its output channels"),
    ],
)
def test_groups_and_vectors_that_do_not_fit_are_refused(
    stage: Palettize, layout: Layout, reason: str
) -> None:
    assert reason in refusal(weight(), stage, layout=layout)


@pytest.mark.parametrize("cluster_dim", [2, 4])
def test_vectors_lie_along_the_channel_axis(cluster_dim: int) -> None:
    values = np.repeat(weight((8, 24)), cluster_dim, axis=0)  # channels in equal runs
    encoding = fit(values, Palettize(nbits=8, cluster_dim=cluster_dim))
    assert isinstance(encoding, Lut)
    assert encoding.indices.shape == (8, 24)
    np.testing.assert_array_equal(decode(encoding), values)


def halves(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A table of the mean of the negative and the mean of the positive weights."""
    positive = values > 0
    return np.array([values[~positive].mean(), values[positive].mean()]), positive.astype(np.uint8)


def test_a_custom_function_decides_on_table_and_indices() -> None:
    values = weight()
    table = table_of(values, Palettize(mode="custom", lut_function=halves))
    np.testing.assert_array_equal(table.reshape(-1), halves(values.reshape(-1))[0].astype(np.float16))


def test_a_custom_function_sees_the_channels_of_its_group_in_their_shape() -> None:
    shapes = []

    def remember(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        shapes.append(values.shape)
        return halves(values)

    fit(weight((32, 6, 4)), Palettize(mode="custom", lut_function=remember, group_size=16))
    assert shapes == [(16, 6, 4), (16, 6, 4)]


def test_a_custom_function_is_called_once_for_each_group_with_what_is_kept_of_it() -> None:
    seen = []

    def remember(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        seen.append(values.copy())
        return halves(values)

    values = weight()
    custom = Palettize(mode="custom", lut_function=remember, group_size=16)
    fit(values, Prune(sparsity=0.5), custom)
    assert len(seen) == 2
    assert sum(len(group) for group in seen) == np.count_nonzero(decode(fit(values, Prune(sparsity=0.5))))
    assert all((group != 0).all() for group in seen)


@pytest.mark.parametrize(
    ("returned", "reason"),
    [
        (lambda w: (np.zeros((2, 2)), np.zeros(w.size)), "lut_function returned a table of shape (2, 2)"),
        (lambda w: (np.zeros(0), np.zeros(w.size)), "table of shape (0,)"),
        (lambda w: (np.zeros(257), np.zeros(w.size)), "table of shape (257,)"),
        (lambda w: (np.zeros(4), np.zeros(3)), "3 indices for 1536 weights"),
        (lambda w: (np.zeros(4), np.full(w.size, 4)), "one past the table"),
        (lambda w: (np.zeros(4), np.full(w.size, -1)), "one past the table"),
        (lambda w: None, "lut_function returned None; it has to be a table and indices"),
        (lambda w: (np.zeros(4),), "it has to be a table and indices"),
        (lambda w: (1.0, np.zeros(w.size)), "table of shape ()"),
        (lambda w: (np.full(4, np.nan), np.zeros(w.size)), "entries that are not finite as float16"),
        (lambda w: (np.full(4, 1e6), np.zeros(w.size)), "entries that are not finite as float16"),
        (lambda w: (np.zeros(4), np.full(w.size, 0.5)), "indices that are no integers"),
    ],
)
def test_a_custom_function_that_returns_no_table_is_an_error(returned: object, reason: str) -> None:
    with pytest.raises(RecipeError, match=re.escape(reason)):
        fit(weight(), Palettize(mode="custom", lut_function=returned))


@pytest.mark.parametrize("mode", ["kmeans", "uniform", "unique", "custom"])
def test_integers_of_a_quantized_weight_get_a_table_of_integers(mode: str) -> None:
    few = np.random.default_rng(1).choice([-0.5, 0.25, 1], size=(32, 48)).astype(np.float16)
    stage = Palettize(
        mode=mode,
        nbits=2 if mode in ("kmeans", "uniform") else None,
        lut_function=_three if mode == "custom" else None,
    )
    encoding = fit(few, Quantize(granularity="per_tensor"), stage)
    lut = encoding.operands[0]
    assert isinstance(lut, Lut)
    assert lut.table.dtype.name == "int8"
    if mode != "uniform":
        np.testing.assert_array_equal(decode(encoding), decode(fit(few, Quantize(granularity="per_tensor"))))


def _three(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.unique(values, return_inverse=True)


@pytest.mark.parametrize("others", [(), (Quantize(),), (Prune(sparsity=0.5),)])
def test_fewer_distinct_values_than_entries_are_kept_exactly(others: tuple[Stage, ...]) -> None:
    values = np.random.default_rng(0).choice([-1, 1], size=(16, 16)).astype(np.float16)
    if others and isinstance(others[0], Prune):
        values[::2] = 0
        others = (Prune(threshold=0, minimum_sparsity=0),)
    np.testing.assert_array_equal(decode(fit(values, *others, Palettize(nbits=4))), values)


def test_a_custom_table_for_integers_is_rounded_not_cut_off() -> None:
    stage = Palettize(
        mode="custom", lut_function=lambda w: (np.array([-2.7, 2.7, 500]), (w > 0).astype(np.uint8))
    )
    lut = fit(weight(), Quantize(granularity="per_tensor"), stage).operands[0]
    assert isinstance(lut, Lut)
    assert decode(lut.table).reshape(-1).tolist() == [-3, 3, 127, 0]
