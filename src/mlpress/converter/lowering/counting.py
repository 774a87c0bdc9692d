"""Numbers up to a size that only a run may know."""

from __future__ import annotations

import numpy as np
import torch

from mlpress.converter.lowering.context import Context
from mlpress.converter.lowering.sizes import Size
from mlpress.mil import Value


def count(context: Context, size: Size, dtype: torch.dtype = torch.float32) -> Value:
    """Returns 0, 1, ... before `size`, float32 or int32."""
    kind = np.float32 if dtype.is_floating_point else np.int32
    end = context.floats(size) if dtype.is_floating_point else context.number(size)
    fake = context.expected.new_empty((size,), dtype=dtype)
    return context.typed("range_1d", fake, start=kind(0), end=end, step=kind(1))
