"""Kernels of this package as operators of torch, for graphs that are compiled.

All tensors are float32, and images [n, channels, height, width] with channels last in memory. Packing is an
operator, too, so that torch does it once, when it compiles a graph whose weights are constants.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mlpress.kernels import conv
from mlpress.runtime.buffers import empty_apart, empty_image

_Float32 = npt.NDArray[np.float32]

_LIBRARY: Final = torch.library.Library("mlpress", "DEF")  # type: ignore[no-untyped-call]

_SIGNATURE: Final = "Tensor x, Tensor weight, Tensor? bias, Tensor? residual, bool relu"


class _Kernel(Protocol):
    def __call__(
        self,
        x: _Float32,
        weight: _Float32,
        bias: _Float32 | None,
        residual: _Float32 | None,
        out: _Float32,
        *,
        relu: bool,
    ) -> None: ...


def define(
    name: str, signature: str, run: Callable[..., Tensor], infer: Callable[..., Tensor], *tags: torch.Tag
) -> Any:
    """Returns a new operator ``mlpress::name`` of torch.

    Args:
        name: Its name.
        signature: Its parameters, as torch writes them.
        run: Computes the result, a tensor.
        infer: Returns an empty tensor like the result of `run`.
        tags: What torch has to know of it.
    """
    _LIBRARY.define(f"{name}({signature}) -> Tensor", tags=tags)  # type: ignore[no-untyped-call]
    _LIBRARY.impl(name, run, "CPU")  # type: ignore[no-untyped-call]
    torch.library.register_fake(f"mlpress::{name}", infer, lib=_LIBRARY)
    return getattr(torch.ops.mlpress, name).default


def _packing(name: str, kernel: Callable[[_Float32], _Float32], growth: int) -> Any:
    """Returns an operator that packs a weight, which makes it `growth` times as large."""

    def run(weight: Tensor) -> Tensor:
        packed = torch.from_numpy(kernel(weight.detach().numpy()))
        return empty_apart(packed.shape, dtype=packed.dtype).copy_(packed)

    def infer(weight: Tensor) -> Tensor:
        return weight.new_empty(growth * weight.numel())

    return define(name, "Tensor weight", run, infer)


def _convolution(name: str, kernel: _Kernel, places: int) -> Any:
    """Returns an operator that convolves with a packed weight of `places` matrices."""

    def run(x: Tensor, weight: Tensor, bias: Tensor | None, residual: Tensor | None, relu: bool) -> Tensor:
        out = empty_image(*_shape(x, weight, places))
        addend = None if bias is None else bias.detach().numpy()
        rest = None if residual is None else _array(residual)
        kernel(_array(x), weight.numpy(), addend, rest, _array(out), relu=relu)
        return out

    def infer(x: Tensor, weight: Tensor, bias: Tensor | None, residual: Tensor | None, relu: bool) -> Tensor:
        shape = _shape(x, weight, places)
        return torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=torch.channels_last)

    return define(name, _SIGNATURE, run, infer, torch.Tag.needs_fixed_stride_order)


def _linear(x: Tensor, weight: Tensor, bias: Tensor | None, residual: Tensor | None, relu: bool) -> Tensor:
    out = _infer_linear(x, weight)
    addend = None if bias is None else bias.detach().numpy()
    rest = None if residual is None else _rows(residual)
    conv.pointwise(_rows(x), weight.numpy(), addend, rest, _rows(out), relu=relu)
    return out


def _infer_linear(x: Tensor, weight: Tensor, *_: object) -> Tensor:
    return x.new_empty((*x.shape[:-1], weight.shape[0] // x.shape[-1]))


def _rows(x: Tensor) -> _Float32:
    """Returns `x` as an image of one column, [1, rows, 1, features]."""
    array: _Float32 = x.contiguous().numpy().reshape(1, prod(x.shape[:-1]), 1, x.shape[-1])
    return array


def _shape(x: Tensor, weight: Tensor, places: int) -> tuple[int, int, int, int]:
    n, channels, height, width = x.shape
    return n, weight.shape[0] // (places * channels), height, width


def _array(x: Tensor) -> _Float32:
    """Returns `x` as it lies in memory, [n, height, width, channels]."""
    array: _Float32 = x.contiguous(memory_format=torch.channels_last).permute(0, 2, 3, 1).numpy()
    return array


PACK_POINTWISE: Final = _packing("pack_pointwise", conv.pack_pointwise, 1)
"""`mlpress.kernels.conv.pack_pointwise` of a weight [channels out, channels in, 1, 1]."""

PACK_WINOGRAD: Final = _packing("pack_winograd", conv.pack_winograd, 4)
"""`mlpress.kernels.conv.pack_winograd` of a weight [channels out, channels in, 3, 3]."""

POINTWISE: Final = _convolution("pointwise", conv.pointwise, 1)
"""`mlpress.kernels.conv.pointwise` of (x, packed weight, bias or None, residual or None, relu)."""

WINOGRAD: Final = _convolution("winograd", conv.winograd, 36)
"""`mlpress.kernels.conv.winograd` of the same arguments."""

PACK_LINEAR: Final = _packing("pack_linear", lambda weight: conv.pack_pointwise(weight[:, :, None, None]), 1)
"""`mlpress.kernels.conv.pack_pointwise` of a weight [features out, features in]."""

LINEAR: Final = define("linear", _SIGNATURE, _linear, _infer_linear, torch.Tag.needs_fixed_stride_order)
"""`mlpress.kernels.conv.pointwise` of the same arguments; x is [..., features in]."""
