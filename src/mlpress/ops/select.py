"""Choice between two tensors."""

from __future__ import annotations

import torch
from torch import Tensor

from mlpress.ops.op import op


@op(CoreML5="cond:bool, a:T, b:T; T=fp16|fp32|bool|int32")
def select(cond: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """A where `cond` holds, else b; the three are broadcast."""
    return torch.where(cond, a, b)
