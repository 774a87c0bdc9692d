"""Element types of Core ML as torch has them."""

from __future__ import annotations

from typing import Final

import torch

from mlpress.bits import DType, dtype_named
from mlpress.errors import UnsupportedModelError
from mlpress.ops.signature import ELEMENT_TYPES

_TORCH: Final = {
    "bool": torch.bool,
    "float16": torch.float16,
    "float32": torch.float32,
    "float64": torch.float64,
    "bfloat16": torch.bfloat16,
    "int8": torch.int8,
    "int16": torch.int16,
    "int32": torch.int32,
    "int64": torch.int64,
    "uint8": torch.uint8,
    "uint16": torch.uint16,
    "uint32": torch.uint32,
    "uint64": torch.uint64,
}
_BITS: Final = {torch_dtype: dtype_named(name) for name, torch_dtype in _TORCH.items()}


def torch_dtype(dtype: DType) -> torch.dtype:
    """Returns torch's dtype for the values of `dtype`; a type below a byte is held in a byte.

    Raises:
        UnsupportedModelError: Torch has none that a program may compute with.
    """
    name = dtype.storage.name if dtype.is_packed else dtype.name
    try:
        return _TORCH[name]
    except KeyError:
        raise UnsupportedModelError(
            f"values of {dtype} cannot be computed with; allowed: {', '.join(_TORCH)}"
        ) from None


def mil_dtype(dtype: torch.dtype) -> DType:
    """Returns the element type of tensors of torch's `dtype`.

    Raises:
        UnsupportedModelError: Core ML has none.
    """
    try:
        return _BITS[dtype]
    except KeyError:
        raise UnsupportedModelError(
            f"Core ML has no tensors of {dtype}; allowed: {', '.join(map(str, _BITS))}"
        ) from None


def dtype_from_mil(name: str) -> torch.dtype:
    """Returns torch's dtype for a type as MIL's string parameters write it, such as ``"fp16"``.

    Raises:
        UnsupportedModelError: The name is unknown.
    """
    try:
        return _TORCH[ELEMENT_TYPES[name]]
    except KeyError:
        raise UnsupportedModelError(
            f"unknown element type {name!r}; allowed: {', '.join(ELEMENT_TYPES)}"
        ) from None
