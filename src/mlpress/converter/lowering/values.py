"""What torch's tensors are in a program before its precision is chosen.

All floats are float32 and all integers int32; only constants keep a narrower float type. The pass that
chooses the precision settles the types of floats afterwards.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import torch

from mlpress import bits
from mlpress.bits import DType
from mlpress.encoding import Dense
from mlpress.errors import UnsupportedModelError
from mlpress.mil import TensorType

_INT32: Final = torch.iinfo(torch.int32)
_NARROW_FLOATS: Final = {torch.float16: bits.FLOAT16, torch.bfloat16: bits.BFLOAT16}


def program_dtype(dtype: torch.dtype) -> DType:
    """Returns the element type that tensors of torch's `dtype` have in a program.

    Raises:
        UnsupportedModelError: Core ML has none.
    """
    if dtype.is_complex:
        raise UnsupportedModelError(f"Core ML has no complex numbers; a tensor of the model is {dtype}")
    if dtype is torch.bool:
        return bits.BOOL
    return bits.FLOAT32 if dtype.is_floating_point else bits.INT32


def program_type(value: torch.Tensor) -> TensorType:
    """Returns the type that `value`, a real or fake tensor, has in a program."""
    sizes: tuple[Any, ...] = tuple(value.shape)
    shape = tuple(None if isinstance(size, torch.SymInt) else int(size) for size in sizes)
    return TensorType(program_dtype(value.dtype), shape)


def dense(tensor: torch.Tensor) -> Dense:
    """Returns the constant that holds `tensor`; shares its memory where the element type allows.

    Integers beyond int32 become the nearest that it has: they are bounds that mean "as many as there are".

    Raises:
        UnsupportedModelError: The tensor is complex.
    """
    tensor = tensor.detach().cpu().contiguous()
    if tensor.dtype in _NARROW_FLOATS:
        raw = tensor.reshape(-1).view(torch.uint8)
        return Dense(bits.Tensor(_NARROW_FLOATS[tensor.dtype], tuple(tensor.shape), raw.numpy().data))
    dtype = program_dtype(tensor.dtype)
    if dtype == bits.INT32 and tensor.dtype is torch.int64:
        tensor = tensor.clamp(_INT32.min, _INT32.max)
    return Dense(bits.Tensor.from_numpy(tensor.numpy().astype(dtype.storage, copy=False)))


def number(value: float | int | bool) -> np.generic:
    """Returns a Python number as programs hold it: int32, float32 or bool."""
    if isinstance(value, bool):
        return np.bool_(value)
    if isinstance(value, int):
        return np.int32(min(max(value, _INT32.min), _INT32.max))
    return np.float32(value)
