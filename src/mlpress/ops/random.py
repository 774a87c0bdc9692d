"""Random tensors. The numbers differ from a device's; the distributions are the same.

A seed repeats them here. A negative seed takes torch's global generator.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mlpress.ops.op import op
from mlpress.ops.operands import check_choice


@op(CoreML5="shape:int32, prob:T const?, seed:int32 const?; T=fp16|fp32", dtype_of="prob")
def random_bernoulli(
    shape: Sequence[int], prob: float = 0.5, seed: int = -1, *, result_dtype: torch.dtype, anchor: Tensor
) -> Tensor:
    """1 with probability `prob`, else 0."""
    empty = anchor.new_empty(list(shape), dtype=result_dtype)
    return empty.bernoulli_(prob, generator=_generator(seed, anchor))


@op(CoreML5="x:T, mode:string const?, size:int32 const?, seed:int32 const?; T=fp16|fp32")
def random_categorical(x: Tensor, mode: str = "logits", size: int = 1, seed: int = -1) -> Tensor:
    """`size` classes, drawn with the probabilities (or their logarithms) along the last axis of x."""
    check_choice("random_categorical", "mode", mode, ("logits", "probs"))
    weights = x.softmax(-1) if mode == "logits" else x
    rows = weights.reshape(-1, x.shape[-1])
    drawn = rows.multinomial(size, replacement=True, generator=_generator(seed, x))
    return drawn.reshape(*x.shape[:-1], size).to(x.dtype)


@op(CoreML5="shape:int32, mean:T const?, stddev:T const?, seed:int32 const?; T=fp16|fp32", dtype_of="mean")
def random_normal(
    shape: Sequence[int],
    mean: float = 0.0,
    stddev: float = 1.0,
    seed: int = -1,
    *,
    result_dtype: torch.dtype,
    anchor: Tensor,
) -> Tensor:
    """Normal with `mean` and `stddev`."""
    empty = anchor.new_empty(list(shape), dtype=result_dtype)
    return empty.normal_(mean, stddev, generator=_generator(seed, anchor))


@op(CoreML5="shape:int32, low:T const?, high:T const?, seed:int32 const?; T=fp16|fp32", dtype_of="low")
def random_uniform(
    shape: Sequence[int],
    low: float = 0.0,
    high: float = 1.0,
    seed: int = -1,
    *,
    result_dtype: torch.dtype,
    anchor: Tensor,
) -> Tensor:
    """Uniform in [low, high)."""
    empty = anchor.new_empty(list(shape), dtype=result_dtype)
    return empty.uniform_(low, high, generator=_generator(seed, anchor))


def _generator(seed: int, anchor: Tensor) -> torch.Generator | None:
    return None if seed < 0 else torch.Generator(anchor.device).manual_seed(seed)
