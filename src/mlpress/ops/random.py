"""Random tensors. The numbers differ from a device's; the distributions are the same.

A seed repeats the numbers here. A negative seed takes torch's global generator.
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
    return (_uniform(shape, seed, anchor) < prob).to(result_dtype)


@op(CoreML5="x:T, mode:string const?, size:int32 const?, seed:int32 const?; T=fp16|fp32")
def random_categorical(x: Tensor, mode: str = "logits", size: int = 1, seed: int = -1) -> Tensor:
    """`size` classes, drawn with the probabilities (or their logarithms) along the last axis of x."""
    check_choice("random_categorical", "mode", mode, ("logits", "probs"))
    weights = (x.softmax(-1) if mode == "logits" else x).float()
    ends = weights.cumsum(-1)
    drawn = _uniform((*x.shape[:-1], size), seed, x) * ends[..., -1:]
    return torch.searchsorted(ends, drawn, right=True).clamp(max=x.shape[-1] - 1).to(x.dtype)


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
    if seed < 0:
        standard = torch.randn(tuple(shape), device=anchor.device)
    else:
        standard = _seeded_normal(anchor, tuple(shape), seed)
    return (mean + stddev * standard).to(result_dtype)


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
    return (low + (high - low) * _uniform(shape, seed, anchor)).to(result_dtype)


def _uniform(shape: Sequence[int], seed: int, anchor: Tensor) -> Tensor:
    """Returns float32 in [0, 1)."""
    if seed < 0:
        return torch.rand(tuple(shape), device=anchor.device)
    drawn: Tensor = _seeded_uniform(anchor, tuple(shape), seed)
    return drawn


# Torch does not compile generators that are made on the way, but calls of ops that make them.


@torch.library.custom_op("mlpress::seeded_uniform", mutates_args=())
def _seeded_uniform(anchor: Tensor, shape: Sequence[int], seed: int) -> Tensor:
    generator = torch.Generator(anchor.device).manual_seed(seed)
    return torch.rand(tuple(shape), generator=generator, device=anchor.device)


@torch.library.custom_op("mlpress::seeded_normal", mutates_args=())
def _seeded_normal(anchor: Tensor, shape: Sequence[int], seed: int) -> Tensor:
    generator = torch.Generator(anchor.device).manual_seed(seed)
    return torch.randn(tuple(shape), generator=generator, device=anchor.device)


@_seeded_uniform.register_fake
@_seeded_normal.register_fake
def _(anchor: Tensor, shape: Sequence[int], seed: int) -> Tensor:
    return anchor.new_empty(tuple(shape), dtype=torch.float32)
