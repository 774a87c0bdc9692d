"""Weights that are empty, tiny, constant or not finite give an encoding or a reason, never an accident."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlpress.encoding import decode
from mlpress.fit.apply import Fitted
from mlpress.fit.layout import Layout
from mlpress.mil import Constant, Opset, TensorType, Value, canonical, lower, why_illegal
from mlpress.recipe import Palettize, Prune, Quantize, Stage
from tests.unit.fit.samples import outcome, refusal, weight

EACH = {
    "prune": Prune(sparsity=0.5),
    "prune below": Prune(threshold=0.1, minimum_sparsity=0),
    "kmeans": Palettize(nbits=2),
    "uniform": Palettize(nbits=2, mode="uniform"),
    "unique": Palettize(mode="unique"),
    "scale per channel": Palettize(nbits=2, per_channel_scale=True),
    "vectors": Palettize(nbits=2, cluster_dim=2),
    "quantize": Quantize(),
    "quantize linear": Quantize(mode="linear"),
    "quantize searched": Quantize(scales="mse"),
    "quantize linear searched": Quantize(mode="linear", scales="mse", dtype="int4"),
}


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", EACH)
def test_nan_and_infinity_are_refused_with_their_number(name: str, bad: float) -> None:
    values = weight()
    values[3, 4] = bad
    assert refusal(values, EACH[name]).endswith("1 of 1536 values are NaN or infinite")


@pytest.mark.parametrize("shape", [(0, 4), (4, 0), (1, 1), (2, 1), (2, 2, 1, 1)])
@pytest.mark.parametrize("name", EACH)
def test_empty_and_tiny_weights(name: str, shape: tuple[int, ...]) -> None:
    result = outcome(weight(shape), EACH[name])
    if isinstance(result, Fitted):
        assert decode(result.encoding).shape == shape


@pytest.mark.parametrize("value", [0.0, 1.5, -0.001, 6e-8, 65504.0])
@pytest.mark.parametrize("name", EACH)
def test_constant_weights(name: str, value: float) -> None:
    values = np.full((8, 8), value, np.float16)
    result = outcome(values, EACH[name])
    if isinstance(result, str):
        return
    decoded = decode(result.encoding)
    if "prune" in name:
        assert set(np.unique(decoded)) <= {np.float16(0), np.float16(value)}
    else:
        np.testing.assert_allclose(decoded, values, rtol=0.15, atol=1e-7)


@pytest.mark.parametrize(
    "others", [(EACH["kmeans"],), (EACH["quantize"],), (EACH["kmeans"], EACH["quantize"])]
)
def test_a_weight_that_was_pruned_to_nothing(others: tuple[Stage, ...]) -> None:
    result = outcome(weight(), Prune(sparsity=1), *others)
    assert isinstance(result, Fitted)
    assert not decode(result.encoding).any()


def test_an_empty_group_of_a_pruned_weight_is_no_trouble_for_a_custom_function() -> None:
    values = weight()
    values[:16] = 0

    def one_entry(kept: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.array([kept.mean()]), np.zeros(len(kept), np.uint8)

    stages = (
        Prune(threshold=0, minimum_sparsity=0.1),
        Palettize(mode="custom", lut_function=one_entry, group_size=16),
    )
    result = outcome(values, *stages)
    assert isinstance(result, Fitted)
    assert not decode(result.encoding)[:16].any()


@pytest.mark.parametrize("stages", list(itertools.permutations([EACH["kmeans"], EACH["quantize"]])))
@pytest.mark.parametrize("scaled", [False, True])
def test_the_largest_float16_weights_never_become_infinite(stages: tuple[Stage, ...], scaled: bool) -> None:
    """Not even where scales, tables and integers are rounded one after the other."""
    if scaled:
        stages = tuple(EACH["scale per channel"] if stage is EACH["kmeans"] else stage for stage in stages)
    for seed in range(6):
        values = np.random.default_rng(seed).standard_normal((32, 48)) * 60000
        result = outcome(values.clip(-65504, 65504).astype(np.float16), *stages)
        if isinstance(result, str):
            assert "would overflow float16" in result or "has its scales already" in result
        else:
            assert np.isfinite(decode(result.encoding)).all()


@st.composite
def stages(draw: st.DrawFn) -> Stage:
    kind = draw(st.sampled_from(["prune", "palettize", "quantize"]))
    if kind == "prune":
        way = draw(st.sampled_from(["sparsity", "blocks", "n_m", "threshold"]))
        dim = draw(st.sampled_from([0, 1]))
        if way == "sparsity":
            return Prune(sparsity=draw(st.floats(0, 1)))
        if way == "blocks":
            return Prune(sparsity=draw(st.floats(0, 1)), block_size=draw(st.integers(2, 4)), dim=dim)
        if way == "n_m":
            m = draw(st.integers(1, 4))
            return Prune(n_m_ratio=(draw(st.integers(0, m)), m), dim=dim)
        return Prune(threshold=draw(st.floats(0, 2)), minimum_sparsity=0)
    if kind == "palettize":
        mode = draw(st.sampled_from(["kmeans", "kmeans", "uniform", "unique"]))
        return Palettize(
            mode=mode,
            nbits=None if mode == "unique" else draw(st.sampled_from([1, 2, 3, 4, 6, 8])),
            group_size=draw(st.sampled_from([None, None, 2, 3, 4])),
            channel_axis=draw(st.sampled_from([None, 0, 1, -1])),
            cluster_dim=1 if mode == "uniform" else draw(st.sampled_from([1, 1, 2, 3])),
            per_channel_scale=draw(st.booleans()),
        )
    return Quantize(
        dtype=draw(st.sampled_from(["int8", "uint8", "int4", "uint4"])),
        mode=draw(st.sampled_from(["linear_symmetric", "linear"])),
        granularity=draw(st.sampled_from([None, "per_tensor", "per_channel", "per_block"])),
        block_size=draw(st.sampled_from([0, 1, 2, 3, 4])),
        scales=draw(st.sampled_from(["absmax", "mse"])),
    )


@st.composite
def weights(draw: st.DrawFn) -> np.ndarray:
    shape = draw(st.lists(st.integers(0, 8), min_size=2, max_size=4).map(tuple))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    values = random.standard_normal(shape) * draw(st.sampled_from([1e-7, 1e-3, 1, 300, 60000]))
    if draw(st.booleans()):
        values = np.round(values, draw(st.integers(-1, 2)))
    values[random.random(shape) < draw(st.sampled_from([0, 0.3, 1]))] = 0
    return np.clip(values, -65504, 65504).astype(draw(st.sampled_from([np.float16, np.float32])))


@given(
    weights(),
    st.lists(stages(), min_size=1, max_size=3),
    st.sampled_from([Layout(), Layout(output_axis=1, input_axis=0), Layout(groups=2)]),
)
@settings(max_examples=600, deadline=None)
def test_any_recipe_gives_a_legal_encoding_or_a_reason(
    values: np.ndarray, recipe: list[Stage], layout: Layout
) -> None:
    result = outcome(values, *recipe, layout=layout)
    if isinstance(result, str):
        assert result.split(":")[0] in ("prune", "palettize", "quantize")
        return
    decoded = decode(result.encoding)
    assert decoded.shape == values.shape
    assert decoded.dtype == values.dtype
    assert np.isfinite(decoded).all()
    constant = Constant("w", Value("w", TensorType(result.encoding.dtype, values.shape)), result.encoding)
    for opset in (Opset.CoreML8, Opset.CoreML9):
        if why_illegal(result.encoding, opset) is None:
            assert lower(constant, opset)
            np.testing.assert_array_equal(decode(canonical(result.encoding, opset)), decoded)
