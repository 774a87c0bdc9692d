"""Numbers held as 8-bit codes: operations on them, each a function of torch tensors.

A code c stands for ``scale * (c - zero)``. All codes are uint8; those of a program that are int8 are held 128
higher. Images are best laid out with channels last. Torch compiles what it can fuse with its neighbours.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.compiler import is_compiling

from mlpress.kernels import affine, lookup
from mlpress.kernels import codes as kernels
from mlpress.ops.padding import pad_axes, symmetric, window_pads
from mlpress.runtime.native_ops import define

_Array = npt.NDArray[Any]


def quantize(x: Tensor, scale: float, zero: int, low: int, high: int) -> Tensor:
    """Returns the codes of `x`, uint8 of its shape: round(x / scale) + zero, ties to even, in low..high."""
    if is_compiling():
        # Clipped first: torch 2.13 folds divisions that follow convolutions into these, all by one divisor.
        clipped = x.clamp((low - zero) * scale, (high - zero) * scale)
        return (clipped / scale).round().add(zero).to(torch.uint8)
    rows = _memory(_dense(x))
    made = affine.quantize(rows, np.array([scale], np.float32), np.array([zero], np.int32), low, high)
    return _like(made, _dense(x))


def dequantize(codes: Tensor, scale: float, zero: int) -> Tensor:
    """Returns what `codes` stand for, float32 of their shape."""
    if is_compiling():
        return (codes.float() - zero) * scale
    codes = _dense(codes)
    made = affine.dequantize(_memory(codes), np.array([scale], np.float32), np.array([zero], np.int32))
    return _like(made, codes)


def add(
    x: Tensor,
    x_scale: float,
    x_zero: int,
    y: Tensor,
    y_scale: float,
    y_zero: int,
    scale: float,
    zero: int,
    low: int,
    high: int,
) -> Tensor:
    """Returns the codes of the sum of what the codes `x` and `y` stand for, which may broadcast."""
    if x.shape != y.shape:
        total = dequantize(x, x_scale, x_zero) + dequantize(y, y_scale, y_zero)
        return quantize(total, scale, zero, 0, high).clamp_min(low)
    if is_compiling():
        result: Tensor = _ADD(x, x_scale, x_zero, y, y_scale, y_zero, scale, zero, low, high)
        return result
    x = _dense(x)
    y = _laid_out_as(x, y)
    out = torch.empty_like(x)
    kernels.add(
        kernels.Codes(_memory(x), x_scale, x_zero),
        kernels.Codes(_memory(y), y_scale, y_zero),
        kernels.Target(scale, zero, low, high),
        _memory(out),
    )
    return out


def max_pool(
    codes: Tensor, kernel: Sequence[int], strides: Sequence[int], pad_type: str, pad: Sequence[int] | None
) -> Tensor:
    """Returns the codes of the largest numbers of windows of images [n, channels, height, width]."""
    pads = window_pads("max_pool", pad_type.lower(), pad, codes.shape[2:], kernel, strides)
    padding = symmetric(pads)
    if padding is None or any(2 * most > size for most, size in zip(padding, kernel, strict=True)):
        codes, padding = pad_axes(codes, pads, 0), [0, 0]
    pool = _POOL if is_compiling() else _pool
    pooled: Tensor = pool(codes, kernel, strides, padding)
    return pooled


def _pool(codes: Tensor, kernel: Sequence[int], strides: Sequence[int], padding: Sequence[int]) -> Tensor:
    pooled: Tensor = torch.ops.quantized.max_pool2d(image(codes), kernel, strides, padding, [1, 1], False)
    return pooled


def look_up(codes: Tensor, table: Tensor) -> Tensor:
    """Returns the entries of `table`, uint8 [256], that `codes` are the numbers of."""
    if is_compiling():
        result: Tensor = _LOOK_UP(codes, table)
        return result
    codes = _dense(codes)
    return _like(lookup(_memory(codes)[0], table.numpy()), codes)


def _operator(name: str, signature: str, run: Callable[..., Tensor]) -> Any:
    """Returns `run` as an operator of codes that gives images channels last, whatever it is given.

    What compiles may lay out an argument anew, and still take the result to be as it was before.
    """

    def compute(x: Tensor, *rest: Any) -> Tensor:
        return image(run(image(x), *rest))

    def infer(x: Tensor, *_: object) -> Tensor:
        return image(x.new_empty(x.shape))

    return define(name, signature, compute, infer, torch.Tag.needs_fixed_stride_order)


# Torch's own operator has channels last only if its input has them, and is compiled as if it always had.
_POOL: Final = define(
    "max_pool_codes",
    "Tensor codes, int[] kernel, int[] strides, int[] padding",
    _pool,
    lambda codes, *window: image(_pool(codes, *window)),
    torch.Tag.needs_fixed_stride_order,
)

_ADD: Final = _operator(
    "add_codes",
    "Tensor x, float x_scale, int x_zero, Tensor y, float y_scale, int y_zero, "
    "float scale, int zero, int low, int high",
    add,
)

_LOOK_UP: Final = _operator("look_up", "Tensor codes, Tensor table", look_up)


def image(codes: Tensor) -> Tensor:
    """Returns the same codes with channels last in memory, if they have two or three spatial axes."""
    if codes.dim() == 4:
        return codes.contiguous(memory_format=torch.channels_last)
    if codes.dim() == 5:
        return codes.contiguous(memory_format=torch.channels_last_3d)
    return codes.contiguous()


def _dense(x: Tensor) -> Tensor:
    """Returns `x` with its elements side by side, in its own order or with channels last."""
    if x.dim() == 4 and x.is_contiguous(memory_format=torch.channels_last):
        return x
    return x.contiguous()


def _laid_out_as(model: Tensor, x: Tensor) -> Tensor:
    return x.contiguous() if model.is_contiguous() else image(x)


def _memory(x: Tensor) -> _Array:
    """Returns the elements of a dense tensor as they lie in memory, [1, elements]."""
    if not x.is_contiguous():
        x = x.permute(0, 2, 3, 1)
    return x.detach().numpy().reshape(1, -1)


def _like(memory: _Array, x: Tensor) -> Tensor:
    """Returns a tensor with these elements in memory, of the shape and the layout of `x`."""
    made = torch.from_numpy(memory.reshape(-1))
    return made.as_strided(x.shape, x.stride())
