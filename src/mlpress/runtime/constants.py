"""Constants of a program as torch tensors."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from mlpress import bits
from mlpress.encoding import Encoding, decode
from mlpress.mil import Constant, Literal
from mlpress.ops import torch_dtype


def carrier(dtype: bits.DType) -> torch.dtype:
    """Returns what a run holds values of `dtype` in: float32 for every float, else the type itself."""
    return torch.float32 if dtype.is_float else torch_dtype(dtype)


def tensor(data: Encoding | Literal) -> Tensor:
    """Returns a numeric constant decoded, floats as float32, in memory of its own."""
    if isinstance(data, Literal):
        if not isinstance(data.value, bits.Tensor):
            raise TypeError(f"a constant of type {data.type} is no tensor")
        array, dtype = data.value.numpy(), data.value.dtype
    else:
        array, dtype = decode(data), data.dtype
    made = torch.empty(array.shape, dtype=carrier(dtype))
    np.copyto(made.numpy(), array, casting="same_kind")
    return made


class EncodedWeight(nn.Module):
    """A weight kept in its encoding, decoded at each use: shape and element type of the constant."""

    def __init__(self, constant: Constant) -> None:
        super().__init__()
        self.constant = constant

    def forward(self, anchor: Tensor) -> Tensor:
        """Returns the dense weight on the device of `anchor`."""
        return tensor(self.constant.data).to(anchor.device)
