"""Rules for operators that torch leaves whole, or takes apart in a way that does not suit Core ML."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import torch
from torch._ops import OpOverload
from torch.nn import functional

Tensor = torch.Tensor


def _multi_head_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    embed_dim: int,
    num_head: int,
    qkv_weight: Tensor,
    qkv_bias: Tensor,
    proj_weight: Tensor,
    proj_bias: Tensor,
    mask: Tensor | None = None,
    need_weights: bool = True,
    average_attn_weights: bool = True,
    mask_type: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Decomposes `aten::_native_multi_head_attention`; inputs are (batch, length, embed_dim).

    A boolean mask is true where attention is not allowed. Mask types: 0 (length, length), 1 (batch, length)
    for keys, 2 any that broadcasts to (batch, heads, length, length).
    """
    if query is key and key is value:
        projected = functional.linear(query, qkv_weight, qkv_bias).chunk(3, -1)
    else:
        parts = zip((query, key, value), qkv_weight.chunk(3), qkv_bias.chunk(3), strict=True)
        projected = tuple(functional.linear(x, weight, bias) for x, weight, bias in parts)
    q, k, v = (x.view(*x.shape[:-1], num_head, -1).transpose(1, 2) for x in projected)
    added = _added_mask(mask, mask_type, q.dtype)
    attended = functional.scaled_dot_product_attention(q, k, v, added)
    output = functional.linear(attended.transpose(1, 2).flatten(2), proj_weight, proj_bias)
    # Nearly always unused, and then removed as dead code.
    scores = torch.matmul(q * q.shape[-1] ** -0.5, k.transpose(-2, -1))
    weights = (scores if added is None else scores + added).softmax(-1)
    return output, weights.mean(1) if average_attn_weights else weights


def _added_mask(mask: Tensor | None, mask_type: int | None, dtype: torch.dtype) -> Tensor | None:
    if mask is None:
        return None
    mask = mask[:, None, None, :] if mask_type == 1 else mask
    if mask.dtype is not torch.bool:
        return mask
    return torch.zeros_like(mask, dtype=dtype).masked_fill(mask, float("-inf"))


def _encoder_layer(
    src: Tensor,
    embed_dim: int,
    num_heads: int,
    qkv_weight: Tensor,
    qkv_bias: Tensor,
    proj_weight: Tensor,
    proj_bias: Tensor,
    use_gelu: bool,
    norm_first: bool,
    eps: float,
    norm_weight_1: Tensor,
    norm_bias_1: Tensor,
    norm_weight_2: Tensor,
    norm_bias_2: Tensor,
    ffn_weight_1: Tensor,
    ffn_bias_1: Tensor,
    ffn_weight_2: Tensor,
    ffn_bias_2: Tensor,
    mask: Tensor | None = None,
    mask_type: int | None = None,
) -> Tensor:
    """Decomposes `aten::_transformer_encoder_layer_fwd`."""

    def attend(x: Tensor) -> Tensor:
        return _multi_head_attention(
            x,
            x,
            x,
            embed_dim,
            num_heads,
            qkv_weight,
            qkv_bias,
            proj_weight,
            proj_bias,
            mask,
            mask_type=mask_type,
        )[0]

    def feed_forward(x: Tensor) -> Tensor:
        hidden = functional.linear(x, ffn_weight_1, ffn_bias_1)
        return functional.linear(
            functional.gelu(hidden) if use_gelu else hidden.relu(), ffn_weight_2, ffn_bias_2
        )

    def norm_1(x: Tensor) -> Tensor:
        return functional.layer_norm(x, (embed_dim,), norm_weight_1, norm_bias_1, eps)

    def norm_2(x: Tensor) -> Tensor:
        return functional.layer_norm(x, (embed_dim,), norm_weight_2, norm_bias_2, eps)

    if norm_first:
        src = src + attend(norm_1(src))
        return src + feed_forward(norm_2(src))
    src = norm_1(src + attend(src))
    return norm_2(src + feed_forward(src))


def _convolution(x: Tensor, weight: Tensor, bias: Tensor | None, *options: Any) -> Tensor:
    """Decomposes `aten::_convolution`, which traces have; its last four options are about libraries."""
    result: Tensor = torch.ops.aten.convolution.default(x, weight, bias, *options[:6])
    return result


def _bilinear(x: Tensor, y: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Decomposes `aten::bilinear`, of (..., n), (..., m) and (outputs, n, m)."""
    outputs, inputs, others = weight.shape
    matrices = torch.matmul(x, weight.permute(1, 0, 2).reshape(inputs, outputs * others))
    matrices = matrices.reshape(*x.shape[:-1], outputs, others)
    result = torch.matmul(matrices, y.unsqueeze(-1)).squeeze(-1)
    return result if bias is None else result + bias


def _hypot(x: Tensor, y: Tensor) -> Tensor:
    """Decomposes `aten::hypot`."""
    return (x.square() + y.square()).sqrt()


def _ldexp(x: Tensor, exponent: Tensor) -> Tensor:
    """Decomposes `aten::ldexp`."""
    return x * torch.pow(2.0, exponent)


def _copysign(x: Tensor, sign: Tensor) -> Tensor:
    """Decomposes `aten::copysign`; a negative zero counts as positive here."""
    return torch.where(sign < 0, -x.abs(), x.abs())


def _select_scatter(x: Tensor, source: Tensor, dim: int, index: int) -> Tensor:
    """Decomposes `aten::select_scatter`; torch's rule compares all positions with the index."""
    start = index + x.shape[dim] if index < 0 else index
    return torch.slice_scatter(x, source.unsqueeze(dim), dim, start, start + 1)


RULES: Final[dict[OpOverload[..., Any], Callable[..., Any]]] = {
    torch.ops.aten._native_multi_head_attention.default: _multi_head_attention,
    torch.ops.aten._transformer_encoder_layer_fwd.default: _encoder_layer,
    torch.ops.aten._convolution.default: _convolution,
    torch.ops.aten.bilinear.default: _bilinear,
    torch.ops.aten.copysign.Tensor: _copysign,
    torch.ops.aten.hypot.default: _hypot,
    torch.ops.aten.ldexp.Tensor: _ldexp,
    torch.ops.aten.select_scatter.default: _select_scatter,
}
