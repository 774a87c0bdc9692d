"""Padding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mlpress.errors import InvalidProgramError
from mlpress.ops.op import op
from mlpress.ops.operands import check_choice


@op(CoreML5="x:T, pad:int32, mode:string const?, constant_val:T const?; T=fp16|fp32")
def pad(x: Tensor, pad: Sequence[int], mode: str = "constant", constant_val: float = 0.0) -> Tensor:
    """Adds pad[2i] elements before and pad[2i + 1] after the i-th of the last len(pad) / 2 axes.

    The new elements are `constant_val`, x mirrored without its border (``reflect``), or its border repeated
    (``replicate``).
    """
    check_choice("pad", "mode", mode, ("constant", "reflect", "replicate"))
    if len(pad) % 2 != 0 or len(pad) > 2 * x.dim():
        raise InvalidProgramError(
            f"pad: {len(pad)} numbers for {x.dim()} axes; allowed: two for each of the last axes"
        )
    pairs = list(zip(pad[::2], pad[1::2], strict=True))
    if mode == "constant":
        return F.pad(x, [amount for pair in reversed(pairs) for amount in pair], value=constant_val)
    first = x.dim() - len(pairs)
    for axis, (before, after) in enumerate(pairs, first):
        if before or after:
            x = x.index_select(axis, _source(x, axis, before, after, mode))
    return x


def _source(x: Tensor, axis: int, before: int, after: int, mode: str) -> Tensor:
    """Returns where each element along `axis` of the result comes from."""
    last = x.shape[axis] - 1
    position = torch.arange(-before, last + 1 + after, device=x.device)
    if mode == "replicate":
        return position.clamp(0, last)
    known: Any = last  # or symbolic
    if isinstance(known, int) and max(before, after) > known:
        raise InvalidProgramError(
            f"pad: {(before, after)} along an axis of {last + 1} elements; reflect allows at most {last}"
        )
    return last - (last - position.abs()).abs()
