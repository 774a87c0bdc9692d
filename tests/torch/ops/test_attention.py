from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mlpress.ops.attention import scaled_dot_product_attention
from tests.torch.ops.draws import Array, assert_close, seeded, seeds, tensor


def attend(query: Array, key: Array, value: Array, added: Any) -> Array:
    scores = query.astype(np.float64) @ key.swapaxes(-1, -2) / np.sqrt(query.shape[-1]) + added
    powers = np.exp(scores - scores.max(-1, keepdims=True))
    weights: Array = powers / powers.sum(-1, keepdims=True)
    return weights @ value


@settings(max_examples=30)
@given(
    batch=st.lists(st.integers(1, 3), min_size=1, max_size=3),
    sizes=st.tuples(*[st.integers(1, 5)] * 4),
    seed=seeds,
    mask=st.sampled_from(["none", "bool", "float"]),
    rank=st.integers(1, 4),
)
def test_attention(
    batch: list[int], sizes: tuple[int, int, int, int], seed: int, mask: str, rank: int
) -> None:
    length, keys, width, value_width = sizes
    query, key = seeded(seed, *batch, length, width), seeded(seed + 1, *batch, keys, width)
    value = seeded(seed + 2, *batch, keys, value_width)
    shape = (*batch, length, keys)[-rank:]
    added = seeded(seed + 3, *shape)
    operands = (tensor(query), tensor(key), tensor(value))
    if mask == "none":
        assert_close(scaled_dot_product_attention(*operands), attend(query, key, value, 0))
    elif mask == "float":
        result = scaled_dot_product_attention(*operands, tensor(added))
        assert_close(result, attend(query, key, value, added))
    else:
        allowed = added > 0
        allowed[..., 0] = True
        result = scaled_dot_product_attention(*operands, tensor(allowed))
        assert_close(result, attend(query, key, value, np.where(allowed, 0, -np.inf)))


def test_a_mask_of_another_type_is_brought_to_that_of_the_query() -> None:
    x = torch.ones(1, 2, 4, dtype=torch.float16)
    assert scaled_dot_product_attention(x, x, x, torch.zeros(2, 2)).dtype == torch.float16


@pytest.mark.parametrize("batch", [(1,), (1, 1)])
@pytest.mark.parametrize("dtype", [torch.bool, torch.float32])
def test_a_mask_for_keys_alone(dtype: torch.dtype, batch: tuple[int, ...]) -> None:
    x, value = tensor(seeded(1, *batch, 3, 2)), tensor(seeded(2, *batch, 3, 2))
    keep = torch.tensor([False, True, False])
    mask = keep if dtype is torch.bool else torch.where(keep, 0, -torch.inf)
    assert_close(scaled_dot_product_attention(x, x, value, mask), value[..., 1:2, :].expand_as(value).numpy())
