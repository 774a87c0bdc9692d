"""Which ATen operators are taken apart, and into what."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import torch
from torch._ops import OpOverload

from mlpress.converter.capture.rules import RULES

# fmt: off
NATIVE: Final = frozenset({
    "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d", "convolution",
    "linear", "matmul", "einsum", "addmm", "embedding", "batch_norm", "layer_norm", "group_norm",
    "instance_norm", "rms_norm", "scaled_dot_product_attention", "elu", "gelu", "hardsigmoid", "hardswish",
    "hardtanh", "leaky_relu", "log_softmax", "mish", "prelu", "relu6", "silu", "softmax", "softplus",
    "softsign", "lstm", "gru", "rnn_tanh", "rnn_relu", "upsample_nearest1d", "upsample_nearest2d",
    "upsample_nearest3d", "_upsample_nearest_exact1d", "_upsample_nearest_exact2d",
    "_upsample_nearest_exact3d", "upsample_linear1d", "upsample_bilinear2d", "upsample_trilinear3d",
    "upsample_bicubic2d", "grid_sampler_2d", "grid_sampler_3d", "pixel_shuffle", "pixel_unshuffle",
    "max_pool1d", "max_pool2d", "max_pool3d", "avg_pool1d", "avg_pool2d", "avg_pool3d",
    "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "pad", "reflection_pad1d",
    "reflection_pad2d", "reflection_pad3d", "replication_pad1d", "replication_pad2d", "replication_pad3d",
    "linalg_vector_norm", "logsumexp", "one_hot", "roll", "stack", "transpose", "tril", "triu", "unbind",
    "tile", "fake_quantize_per_tensor_affine", "fake_quantize_per_channel_affine",
})
# fmt: on
"""ATen operators that a Core ML program can say directly, or nearly so; they stay in the graph."""

_REMOVED_LATER: Final = frozenset({"dropout", "feature_dropout", "alpha_dropout", "contiguous"})
"""They are composite, but are going to be removed whole."""

_SIZES: Final = frozenset(
    {"aten::sym_size", "aten::sym_stride", "aten::sym_numel", "aten::sym_storage_offset"}
)

Operator = OpOverload[..., Any]


@dataclass(frozen=True)
class Decompositions:
    """What becomes of each operator.

    Attributes:
        table: Rules, as `ExportedProgram.run_decompositions` takes them.
        keep: Overloads that stay besides the native ones, as ``"aten.linear.default"``.
    """

    table: Mapping[Operator, Callable[..., Any]]
    keep: frozenset[str]

    def rule(self, op: Operator) -> Callable[..., Any] | None:
        """The function that computes what an operator computes by others; None if the operator stays."""
        if _stays(op, self.keep) or op._schema.name in _SIZES:
            return None
        if op in self.table:
            return self.table[op]
        return op.decompose if op.namespace == "aten" and op._can_decompose() else None


@lru_cache(maxsize=8)
def decompositions(keep: frozenset[str] = frozenset()) -> Decompositions:
    """Torch's own decompositions with rules of ours, less what stays."""
    rules = {**torch.export.default_decompositions(), **RULES}
    return Decompositions({op: rule for op, rule in rules.items() if not _stays(op, keep)}, keep)


def _stays(op: Operator, keep: frozenset[str]) -> bool:
    name = op._schema.name.removeprefix("aten::")
    return str(op) in keep or (op.namespace == "aten" and (name in NATIVE or name in _REMOVED_LATER))
