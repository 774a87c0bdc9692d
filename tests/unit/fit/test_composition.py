"""Stages compose: each replaces what is stored plainly, and leaves the rest of the tree alone."""

from __future__ import annotations

import itertools
import re
from typing import Any

import numpy as np
import pytest

from mlpress.encoding import Affine, Dense, Encoding, Lut, Scatter, Sparse, decode, describe
from mlpress.fit.apply import Fitted
from mlpress.fit.masks import magnitude_mask
from mlpress.recipe import Palettize, Prune, Quantize, Stage
from tests.unit.fit.samples import fit, outcome, refusal, squared_error, weight

PRUNE, PALETTIZE, QUANTIZE = Prune(sparsity=0.75), Palettize(nbits=4), Quantize()


def skeleton(encoding: Encoding) -> str:
    """The nodes of a tree and the dtypes of its leaves."""
    match encoding:
        case Dense(values):
            return values.dtype.name
        case Sparse(_, values):
            return f"sparse({values.dtype.name})"
        case Affine(data, scale, offset):
            return f"affine({skeleton(data)}, {skeleton(scale)}{', offset' if offset else ''})"
        case Lut(indices, table):
            return f"lut({skeleton(indices)}, {skeleton(table)})"
        case Scatter(source):
            return f"scatter({skeleton(source)})"


@pytest.mark.parametrize(
    ("stages", "tree"),
    [
        ((PRUNE,), "scatter(sparse(float16))"),
        ((PALETTIZE,), "lut(uint4, float16)"),
        ((QUANTIZE,), "affine(int8, float16)"),
        ((Quantize(mode="linear"),), "affine(int8, float16, offset)"),
        ((Quantize(dtype="uint4"),), "affine(uint4, float16, offset)"),
        ((Palettize(nbits=4, per_channel_scale=True),), "affine(lut(uint4, float16), float16)"),
        ((PRUNE, QUANTIZE), "scatter(affine(sparse(int8), float16))"),
        ((QUANTIZE, PRUNE), "scatter(affine(sparse(int8), float16))"),
        ((PRUNE, PALETTIZE), "scatter(lut(sparse(uint4), float16))"),
        ((PALETTIZE, PRUNE), "scatter(lut(sparse(uint4), float16))"),
        ((PALETTIZE, QUANTIZE), "lut(uint4, affine(int8, float16))"),
        ((QUANTIZE, PALETTIZE), "affine(lut(uint4, int8), float16)"),
        ((Palettize(nbits=4, per_channel_scale=True), QUANTIZE), "affine(lut(uint4, int8), float16)"),
        (
            (Palettize(nbits=4, per_channel_scale=True), PRUNE),
            "scatter(affine(lut(sparse(uint4), float16), float16))",
        ),
        (
            (PRUNE, Palettize(nbits=4, per_channel_scale=True)),
            "scatter(affine(lut(sparse(uint4), float16), float16))",
        ),
        ((PRUNE, PALETTIZE, QUANTIZE), "scatter(lut(sparse(uint4), affine(int8, float16)))"),
        ((PALETTIZE, PRUNE, QUANTIZE), "scatter(lut(sparse(uint4), affine(int8, float16)))"),
        ((PALETTIZE, QUANTIZE, PRUNE), "scatter(lut(sparse(uint4), affine(int8, float16)))"),
        ((PRUNE, QUANTIZE, PALETTIZE), "scatter(affine(lut(sparse(uint4), int8), float16))"),
        ((QUANTIZE, PRUNE, PALETTIZE), "scatter(affine(lut(sparse(uint4), int8), float16))"),
        ((QUANTIZE, PALETTIZE, PRUNE), "scatter(affine(lut(sparse(uint4), int8), float16))"),
        ((PRUNE, Prune(sparsity=0.9)), "scatter(sparse(float16))"),
    ],
    ids=lambda value: value if isinstance(value, str) else "-",
)
@pytest.mark.parametrize("shape", [(32, 48), (16, 8, 3, 3)])
def test_the_tree_that_each_order_makes(shape: tuple[int, ...], stages: tuple[Stage, ...], tree: str) -> None:
    encoding = fit(weight(shape), *stages)
    assert skeleton(encoding) == tree
    assert encoding.shape == shape
    values = decode(encoding)
    assert values.dtype == np.float16
    assert np.isfinite(values).all()


@pytest.mark.parametrize("others", [(PALETTIZE,), (QUANTIZE,), (PALETTIZE, QUANTIZE), (QUANTIZE, PALETTIZE)])
def test_the_mask_of_a_pruned_weight_survives_later_stages(others: tuple[Stage, ...]) -> None:
    values = weight()
    pruned = fit(values, PRUNE)
    later = fit(values, PRUNE, *others)
    assert isinstance(pruned, Scatter)
    assert isinstance(pruned.source, Sparse)
    leaf: Encoding = later
    while not isinstance(leaf, Sparse):
        leaf = leaf.operands[0]
    assert leaf.mask == pruned.source.mask
    assert (decode(later)[decode(pruned) == 0] == 0).all()


@pytest.mark.parametrize("others", list(itertools.permutations([PALETTIZE, QUANTIZE])))
def test_pruning_last_drops_the_smallest_of_the_compressed_values(others: tuple[Stage, ...]) -> None:
    values = weight()
    before = decode(fit(values, *others))
    after = decode(fit(values, *others, PRUNE))
    kept = np.unpackbits(magnitude_mask(before, 0.75), bitorder="little")[: before.size].reshape(before.shape)
    np.testing.assert_array_equal(after, np.where(kept, before, 0))


@pytest.mark.parametrize("rows", [1024, 1020, 1022])
@pytest.mark.parametrize("dim", [0, 1])
@pytest.mark.parametrize("pattern", [{"n_m_ratio": (2, 4)}, {"sparsity": 0.5, "block_size": 4}], ids=str)
@pytest.mark.parametrize("others", [(QUANTIZE,), (PALETTIZE,)])
def test_patterns_of_a_compressed_weight_are_those_of_its_values(
    others: tuple[Stage, ...], pattern: dict[str, Any], dim: int, rows: int
) -> None:
    """Large enough to be looked at in parts, of which a pattern along axis 0 may not be cut."""
    values = weight((rows, 515))
    stage = Prune(**pattern, dim=dim)
    decoded = decode(fit(values, *others))
    assert np.array_equal(decode(fit(values, *others, stage)), decode(fit(decoded, stage)))


@pytest.mark.parametrize("dim", [0, 1])
def test_a_pattern_of_no_channels_is_refused(dim: int) -> None:
    assert "m at least 1" in refusal(weight(), QUANTIZE, Prune(n_m_ratio=(0, 0), dim=dim))


def test_a_pruned_weight_can_only_lose_more() -> None:
    values = weight()
    once, twice = decode(fit(values, PRUNE)), decode(fit(values, PRUNE, Prune(sparsity=0.9)))
    np.testing.assert_array_equal(twice != 0, np.abs(values) > np.percentile(np.abs(values), 90))
    np.testing.assert_array_equal(decode(fit(values, Prune(sparsity=0.9), PRUNE)) != 0, twice != 0)
    assert (once[twice != 0] == twice[twice != 0]).all()


def test_no_entry_of_the_table_is_spent_on_the_zeros_of_a_pruned_weight() -> None:
    encoding = fit(weight(), PRUNE, PALETTIZE)
    assert isinstance(encoding, Scatter)
    assert isinstance(encoding.source, Lut)
    table = decode(encoding.source.table)
    assert (table != 0).all()
    assert len(np.unique(table)) == 16


def test_quantizing_the_table_fits_it_to_the_weight_again() -> None:
    values = weight((128, 128))
    palettized = fit(values, Palettize(nbits=6))
    joint = fit(values, Palettize(nbits=6), QUANTIZE)
    assert isinstance(palettized, Lut)
    table = decode(palettized.table)[0, 0, :, 0].astype(np.float64)
    scale = np.abs(table).max() / 127
    rounded = np.rint(table / scale) * scale
    naive = np.square(rounded[decode(palettized.indices)] - values.astype(np.float64)).sum()
    assert squared_error(values, joint) < 0.75 * naive


@pytest.mark.parametrize("others", [(), (QUANTIZE,), (PRUNE,), (PRUNE, QUANTIZE)])
def test_a_scale_per_channel_is_one_scale_per_output_channel(others: tuple[Stage, ...]) -> None:
    encoding = fit(weight((32, 8, 3, 3)), Palettize(nbits=3, per_channel_scale=True), *others)
    scaled = encoding.source if isinstance(encoding, Scatter) else encoding
    assert isinstance(scaled, Affine)
    assert scaled.scale.shape == (32, 1, 1, 1)


def test_a_scale_per_channel_lowers_the_error_of_channels_of_different_size() -> None:
    values = weight((64, 64))
    scaled, plain = (fit(values, Palettize(nbits=3, per_channel_scale=on)) for on in (True, False))
    assert squared_error(values, scaled) < squared_error(values, plain)


@pytest.mark.parametrize(
    ("stages", "reason"),
    [
        ((PALETTIZE, PALETTIZE), "palettize: it is palettized already"),
        ((QUANTIZE, QUANTIZE), "quantize: it is quantized already"),
        ((PALETTIZE, QUANTIZE, QUANTIZE), "quantize: it is quantized already"),
        ((PRUNE, QUANTIZE, PALETTIZE, QUANTIZE), "quantize: it is quantized already"),
        ((PALETTIZE, Quantize(granularity="per_channel")), "its table takes one scale .* not per_channel"),
        (
            (QUANTIZE, Palettize(nbits=4, per_channel_scale=True)),
            "it is quantized and has its scales already",
        ),
        (
            (PRUNE, Palettize(nbits=4, cluster_dim=2)),
            "its mask cuts through vectors of 2 along axis 0.*block_size=2",
        ),
        (
            (Palettize(nbits=4, cluster_dim=2), PRUNE),
            "its mask cuts through vectors of 2 along axis 0.*dim=0",
        ),
        ((Palettize(nbits=4, cluster_dim=2, per_channel_scale=True),), "cluster_dim 1"),
        ((Quantize(dtype="int4"), PALETTIZE, QUANTIZE), "quantize: it is quantized already"),
    ],
)
def test_what_cannot_be_expressed_is_refused_with_the_reason(stages: tuple[Stage, ...], reason: str) -> None:
    assert re.search(reason, refusal(weight(), *stages))


@pytest.mark.parametrize("dtype", ["int4", "uint4"])
def test_a_table_of_4_bit_integers(dtype: str) -> None:
    encoding = fit(weight(), PALETTIZE, Quantize(dtype=dtype))
    assert isinstance(encoding, Lut)
    assert skeleton(encoding.table).startswith(f"affine({dtype}")


@pytest.mark.parametrize("dtype", ["int4", "uint4"])
def test_a_4_bit_table_with_a_scale_per_channel_works_or_is_refused(dtype: str) -> None:
    result = outcome(weight(), Palettize(nbits=4, per_channel_scale=True), Quantize(dtype=dtype))
    assert isinstance(result, (Fitted, str))


VECTORS, ALIGNED = Palettize(nbits=4, cluster_dim=2), Prune(sparsity=0.5, block_size=2, dim=0)


@pytest.mark.parametrize("stages", [(ALIGNED, VECTORS), (VECTORS, ALIGNED)])
def test_vectors_are_kept_or_dropped_whole_when_the_blocks_are_aligned(stages: tuple[Stage, ...]) -> None:
    encoding = fit(weight(), *stages)
    assert isinstance(encoding, Scatter)
    pairs = (decode(encoding) != 0).reshape(16, 2, 48)
    np.testing.assert_array_equal(pairs[:, 0], pairs[:, 1])
    assert 0.2 < pairs.mean() <= 0.51


def test_squared_error_and_signal_are_those_of_the_decoded_weight() -> None:
    values = weight()
    result = outcome(values, PRUNE, PALETTIZE, QUANTIZE)
    assert isinstance(result, Fitted)
    assert result.squared_error == pytest.approx(squared_error(values, result.encoding))
    assert result.squared_signal == pytest.approx(np.square(values.astype(np.float64)).sum())


def test_words_for_people() -> None:
    assert describe(fit(weight(), PRUNE, PALETTIZE, QUANTIZE)) == "sparse 75% · 4-bit palette · int8 table"
