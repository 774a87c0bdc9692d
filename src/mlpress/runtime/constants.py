"""Constants of a program as torch tensors."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from mlpress import bits
from mlpress.encoding import Dense, Encoding, decode_rows, row_ranges
from mlpress.mil import Constant, Literal
from mlpress.ops import torch_dtype
from mlpress.runtime.buffers import empty_apart


def carrier(dtype: bits.DType) -> torch.dtype:
    """Returns what a run holds values of `dtype` in: float32 for every float, else the type itself."""
    return torch.float32 if dtype.is_float else torch_dtype(dtype)


def tensor(data: Encoding | Literal, empty: Callable[..., Tensor] = torch.empty) -> Tensor:
    """Returns a numeric constant decoded, floats as float32, in memory of its own.

    It is decoded a part at a time, so that there is no second copy.

    Args:
        data: The constant.
        empty: Makes the tensor, of a shape and a `dtype`.
    """
    encoding = Dense(_values(data)) if isinstance(data, Literal) else data
    made = empty(encoding.shape, dtype=carrier(encoding.dtype))
    rows = np.atleast_1d(made.numpy())
    for start, stop in row_ranges(encoding):
        np.copyto(rows[start:stop], decode_rows(encoding, start, stop), casting="same_kind")
    return made


def _values(literal: Literal) -> bits.Tensor:
    if not isinstance(literal.value, bits.Tensor):
        raise TypeError(f"a constant of type {literal.type} is no tensor")
    return literal.value


class EncodedWeight(nn.Module):
    """A weight kept in its encoding, decoded at each use: shape and element type of the constant."""

    def __init__(self, constant: Constant) -> None:
        super().__init__()
        self.constant = constant

    def forward(self, anchor: Tensor) -> Tensor:
        """Returns the dense weight on the device of `anchor`."""
        return tensor(self.constant.data, empty_apart).to(anchor.device)
