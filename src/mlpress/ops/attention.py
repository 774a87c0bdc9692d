"""Attention as one op (iOS 18 and newer)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from mlpress.ops.op import op
from mlpress.ops.operands import like


@op(CoreML8="query:T, key:T, value:T, attn_mask:M?; T=fp16|fp32, M=bool|fp16|fp32")
def scaled_dot_product_attention(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None
) -> Tensor:
    """softmax(query @ key^T / sqrt(E) + mask) @ value, of shapes [..., L, E], [..., S, E] and [..., S, F].

    `attn_mask` broadcasts to [..., L, S]: booleans are true where attention is paid, floats are added. What a
    query gets that may attend to nothing is torch's choice: zeros in recent versions, NaN by the formula.
    """
    if attn_mask is not None:
        if attn_mask.is_floating_point():
            attn_mask = like(attn_mask, query)
        if attn_mask.dim() < 2:
            attn_mask = attn_mask.expand(1, -1)  # torch asks for an axis of queries
    return F.scaled_dot_product_attention(query, key, value, attn_mask)
