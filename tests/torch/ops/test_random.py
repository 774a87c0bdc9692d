"""Distributions, and seeds."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mlpress.errors import InvalidProgramError
from mlpress.ops.random import random_bernoulli, random_categorical, random_normal, random_uniform

MANY = 20_000
FLOAT = {"result_dtype": torch.float32, "anchor": torch.empty(0)}
PROBABILITIES = torch.tensor([[0.1, 0.2, 0.7], [1.0, 0.0, 1.0]])

DRAWS: dict[str, Callable[..., torch.Tensor]] = {
    "bernoulli": partial(random_bernoulli, [MANY], 0.3, **FLOAT),
    "categorical": partial(random_categorical, PROBABILITIES, "probs", MANY),
    "normal": partial(random_normal, [MANY], 3.0, 0.5, **FLOAT),
    "uniform": partial(random_uniform, [MANY], -1.0, 3.0, **FLOAT),
}


@pytest.mark.parametrize("name", DRAWS)
def test_a_seed_repeats_the_numbers(name: str) -> None:
    draw = DRAWS[name]
    assert torch.equal(draw(seed=5), draw(seed=5))
    assert not torch.equal(draw(seed=5), draw(seed=6))
    assert not torch.equal(draw(seed=-1), draw(seed=-1))


@pytest.mark.parametrize("name", DRAWS)
def test_without_a_seed_the_numbers_are_torchs_global_ones(name: str) -> None:
    torch.manual_seed(7)
    first = DRAWS[name]()
    torch.manual_seed(7)
    assert torch.equal(first, DRAWS[name]())


@pytest.mark.parametrize("seed", [-1, 3])
def test_distributions(seed: int) -> None:
    torch.manual_seed(0)
    heads = DRAWS["bernoulli"](seed=seed)
    assert set(heads.tolist()) == {0.0, 1.0}
    assert heads.mean() == pytest.approx(0.3, abs=0.02)
    normal = DRAWS["normal"](seed=seed)
    assert normal.mean() == pytest.approx(3, abs=0.02)
    assert normal.std() == pytest.approx(0.5, abs=0.02)
    assert ((normal - 3).abs() < 0.5).float().mean() == pytest.approx(0.6827, abs=0.02)
    uniform = DRAWS["uniform"](seed=seed)
    assert -1 <= uniform.min() < -0.99 and 2.99 < uniform.max() < 3
    assert uniform.histc(4, -1, 3) / MANY == pytest.approx([0.25] * 4, abs=0.02)


@given(
    st.lists(st.integers(0, 3), max_size=4),
    st.sampled_from([-1, 4]),
    st.sampled_from([torch.float16, torch.float32]),
)
@settings(max_examples=30, deadline=None)
def test_shapes_types_and_ranges(shape: list[int], seed: int, dtype: torch.dtype) -> None:
    made = {"seed": seed, "result_dtype": dtype, "anchor": torch.empty(0)}
    for draw in (
        random_bernoulli(shape, 0.3, **made),
        random_normal(shape, 3.0, 0.5, **made),
        random_uniform(shape, -1.0, 3.0, **made),
    ):
        assert (list(draw.shape), draw.dtype) == (shape, dtype)
    assert set(random_bernoulli(shape, 0.3, **made).flatten().tolist()) <= {0.0, 1.0}
    uniform = random_uniform(shape, -1.0, 3.0, **made)
    assert ((uniform >= -1) & (uniform <= 3)).all()
    classes = random_categorical(torch.zeros(*shape, 5, dtype=dtype), size=2, seed=seed)
    assert (list(classes.shape), classes.dtype) == ([*shape, 2], dtype)
    assert ((classes >= 0) & (classes < 5) & (classes == classes.floor())).all()


@pytest.mark.parametrize("mode", ["probs", "logits"])
def test_categories_come_with_their_probabilities(mode: str) -> None:
    x = PROBABILITIES if mode == "probs" else (PROBABILITIES.log() + 5)
    drawn = random_categorical(x, mode, MANY, seed=1)
    assert drawn.shape == (2, MANY)
    assert drawn.dtype == torch.float32
    for row, expected in zip(drawn, ([0.1, 0.2, 0.7], [0.5, 0.0, 0.5]), strict=True):
        assert torch.bincount(row.long(), minlength=3) / MANY == pytest.approx(expected, abs=0.02)
        assert (torch.bincount(row.long(), minlength=3) == 0).tolist() == [p == 0 for p in expected]


def test_categories_of_one_distribution() -> None:
    assert random_categorical(torch.tensor([0.0, 100.0, 0.0]), size=4).tolist() == [1, 1, 1, 1]
    with pytest.raises(InvalidProgramError, match="'logits', 'probs'"):
        random_categorical(PROBABILITIES, "odds")
