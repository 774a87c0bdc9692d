from __future__ import annotations

from typing import Any

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mlpress.ops.linear import einsum, linear, matmul
from tests.torch.ops.draws import assert_close, seeded, seeds, tensor


@given(batch=arrays.array_shapes(min_dims=0, max_dims=3, max_side=3), seed=seeds, biased=st.booleans())
def test_linear_multiplies_by_the_transposed_weight(batch: tuple[int, ...], seed: int, biased: bool) -> None:
    x, weight, bias = seeded(seed, *batch, 4), seeded(seed + 1, 5, 4), seeded(seed + 2, 5)
    expected = x.astype(np.float64) @ weight.T + (bias if biased else 0)
    assert_close(linear(tensor(x), tensor(weight), tensor(bias) if biased else None), expected)


@settings(max_examples=40)
@given(
    shapes=arrays.mutually_broadcastable_shapes(signature=np.matmul.signature, max_dims=2, max_side=3),
    transposed=st.tuples(st.booleans(), st.booleans()),
    kind=st.sampled_from([np.float32, np.int32]),
)
def test_matmul_is_that_of_numpy(shapes: Any, transposed: tuple[bool, bool], kind: Any) -> None:
    x, y = ((9 * seeded(i, *shape)).astype(kind) for i, shape in enumerate(shapes.input_shapes))
    # An operand to be transposed is given transposed; a vector stays as it is.
    given_x, given_y = (
        a.swapaxes(-1, -2).copy() if flag and a.ndim > 1 else a
        for a, flag in zip((x, y), transposed, strict=True)
    )
    result = matmul(tensor(given_x), tensor(given_y), *transposed)
    assert result.dtype == tensor(x).dtype
    assert_close(result, x @ y, 1e-4)


def test_products_of_integers_are_exact() -> None:
    x = torch.tensor([[46341, 46339, 1]], dtype=torch.int32)
    y = torch.tensor([[46340], [1], [-7]], dtype=torch.int32)
    assert matmul(x, y).item() == 46341 * 46340 + 46339 - 7 - 2**32
    assert linear(x, y.t(), torch.tensor([10], dtype=torch.int32)).item() == matmul(x, y).item() + 10


@settings(max_examples=25)
@given(sizes=st.tuples(*[st.integers(1, 4)] * 5), shared=st.tuples(st.booleans(), st.booleans()), seed=seeds)
def test_einsum_contracts_the_last_axis_with_the_third_last(
    sizes: tuple[int, ...], shared: tuple[bool, bool], seed: int
) -> None:
    n, c, h, w, u = sizes
    images, width = 1 if shared[0] else n, 1 if shared[1] else h
    x, y = seeded(seed, n, c, h, w), seeded(seed + 1, images, w, width, u)
    expected = np.zeros((n, c, h, u))
    for at in np.ndindex(*expected.shape):
        expected[at] = x[at[:3]].astype(np.float64) @ y[at[0] % images, :, at[2] % width, at[3]]
    assert_close(einsum((tensor(x), tensor(y)), "nchw,nwhu->nchu"), expected)
    assert_close(einsum((tensor(x[0]), tensor(y[0])), "abc,cbd->abd"), expected[0])


def test_weights_of_another_type_are_brought_to_that_of_x() -> None:
    x = torch.ones(2, 3, dtype=torch.float16)
    assert linear(x, torch.ones(4, 3), torch.ones(4)).dtype == torch.float16
    assert matmul(x, torch.ones(3, 4)).dtype == torch.float16
