"""What the nodes of a TorchScript graph do that are not operators on tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import torch

from mlpress.converter.capture.errors import CaptureError
from mlpress.converter.capture.torchscript.numbers import (
    DTYPE_NUMBERS,
    DTYPES,
    natural_dtype,
    sym_float,
    sym_int,
)
from mlpress.converter.capture.torchscript.operators import known_number
from mlpress.converter.capture.torchscript.places import place_of

Node = Any
"""`torch._C.Node`, which torch's stubs do not describe in full; so too for blocks and graphs."""


def _constant(node: Node) -> Any:
    return node.output().toIValue() if node.hasAttribute("value") else None


def _integer(node: Node, value: Any) -> Any:
    value = known_number(value)
    return value.item() if isinstance(value, torch.Tensor) else sym_int(value)


def _real(node: Node, value: Any) -> Any:
    value = known_number(value)
    return value.item() if isinstance(value, torch.Tensor) else sym_float(value)


def _truth(node: Node, value: Any) -> Any:
    """A tensor whose value is not known stays one; `prim::If` and `prim::Loop` know what to do with it."""
    value = known_number(value)
    return value if isinstance(value, torch.Tensor | torch.SymBool) else bool(value)


def _raise(node: Node, message: Any = "", *_: Any) -> None:
    raise CaptureError(f"the model raises an error in {place_of(node)}: {message}")


def _size(node: Node, value: torch.Tensor, axis: int | None = None) -> Any:
    return list(value.shape) if axis is None else value.shape[axis]


def _same(node: Node, value: Any, *_: Any) -> Any:
    return value


def _nothing(node: Node, *_: Any) -> None:
    return None


def _unpacked(node: Node, values: Any) -> Any:
    return next(iter(values)) if node.outputsSize() == 1 else list(values)


def _item(node: Node, value: Any) -> Any:
    value = known_number(value)
    return value.item() if isinstance(value, torch.Tensor) else value


def _tensor(value: Any, dtype: Any = None, *_: Any) -> Any:
    dtype = DTYPES.get(dtype, dtype)
    if isinstance(value, list):
        return (
            torch.stack([_tensor(each, dtype) for each in value]) if value else torch.tensor([], dtype=dtype)
        )
    if isinstance(value, torch.Tensor):
        return value if dtype is None else value.to(dtype)
    return torch.scalar_tensor(value, dtype=dtype or natural_dtype(value))


def _quantized(node: Node, values: Any, scale: Any, zero: Any, *rest: Any) -> Any:
    """Rounds a tensor as quantizing and dequantizing it would: graphs have no tensors of quantized types."""
    *axis, dtype = rest
    low, high = _RANGES[dtype]
    if axis:
        zeros = zero.to(torch.int32)
        return torch.fake_quantize_per_channel_affine(values, scale.float(), zeros, axis[0], low, high)
    if isinstance(zero, torch.Tensor):
        zero = zero.to(torch.int32)
    return torch.fake_quantize_per_tensor_affine(values, scale, zero, low, high)


_RANGES: Final = {12: (-128, 127), 13: (0, 255)}
"""Integers of quantized types (``qint8``, ``quint8``) by the numbers that graphs have for them."""

PRIMITIVES: Final[dict[str, Callable[..., Any]]] = {
    "prim::Constant": _constant,
    "prim::ListConstruct": lambda node, *values: list(values),
    "prim::TupleConstruct": lambda node, *values: values,
    "prim::DictConstruct": lambda node, *pairs: dict(zip(pairs[::2], pairs[1::2], strict=True)),
    "prim::ListUnpack": _unpacked,
    "prim::TupleUnpack": _unpacked,
    "prim::TupleIndex": lambda node, values, position: values[position],
    "prim::NumToTensor": _same,
    "prim::data": _same,
    "prim::unchecked_cast": _same,
    "prim::unchecked_unwrap_optional": _same,
    "aten::_unwrap_optional": _same,
    "aten::ScalarImplicit": _same,
    "aten::IntImplicit": _integer,
    "aten::FloatImplicit": _real,
    "aten::Int": _integer,
    "aten::Float": _real,
    "aten::Bool": _truth,
    "aten::item": _item,
    "aten::size": _size,
    "prim::shape": _size,
    "aten::dim": lambda node, value: value.ndim,
    "aten::numel": lambda node, value: value.numel(),
    "prim::device": lambda node, value: value.device,
    "prim::dtype": lambda node, value: DTYPE_NUMBERS[value.dtype],
    "prim::layout": lambda node, value: 0,
    "prim::is_cuda": lambda node, value: value.is_cuda,
    "prim::is_quantized": lambda node, value: value.is_quantized,
    "prim::requires_grad": lambda node, value: False,
    "aten::quantize_per_tensor": _quantized,
    "aten::quantize_per_channel": _quantized,
    "aten::dequantize": _same,
    "aten::is_floating_point": lambda node, value: value.is_floating_point(),
    "aten::tensor": lambda node, *arguments: _tensor(*arguments),
    "prim::Uninitialized": _nothing,
    "prim::Print": _nothing,
    "aten::warn": _nothing,
    "prim::RaiseException": _raise,
}
"""By kind of node: called with the node and what goes in; gives what comes out, or a sequence of that."""
