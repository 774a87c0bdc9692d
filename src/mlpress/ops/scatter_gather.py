"""Elements taken from, and combined into, places that a tensor of indices names.

Negative indices count from the end in every opset; from iOS 17 on Core ML does not say what they do. An index
out of bounds raises, with and without `validate_indices`.
"""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor

from mlpress.ops import words
from mlpress.ops.op import op
from mlpress.ops.operands import check_choice

_OLD: Final = "T=fp16|fp32|int32"
_IOS16: Final = f"{_OLD}, I=int32|uint16|int16"
_IOS17: Final = "T=fp16|fp32|int32|int16|uint16|int8|uint8, I=int32|int16|uint16|int8|uint8"
_MODES: Final = ("add", "div", "max", "min", "mul", "sub", "update")


@op(
    CoreML5=f"x:T, indices:int32, axis:int32 const?; {_OLD}",
    CoreML6=f"x:T, indices:I, axis:int32 const?, batch_dims:int32 const?; {_IOS16}",
    CoreML7="x:T, indices:I, axis:int32 const?, batch_dims:int32 const?, validate_indices:bool const?; "
    f"{_IOS17}",
)
def gather(
    x: Tensor, indices: Tensor, axis: int = 0, batch_dims: int = 0, validate_indices: bool = False
) -> Tensor:
    """Slices of x along `axis` at `indices`, whose axes replace it; `batch_dims` first axes are shared."""
    axis %= x.dim()
    where = _from_start(indices, x.shape[axis])
    if batch_dims == 0:
        picked = words.index_select(x, axis, where.reshape(-1))
        return picked.reshape((*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]))
    together = x.movedim(axis, batch_dims)
    flat = where + _batch_offset(where, x, batch_dims) * x.shape[axis]
    picked = words.index_select(together.flatten(0, batch_dims), 0, flat.reshape(-1))
    picked = picked.reshape((*indices.shape, *together.shape[batch_dims + 1 :]))
    return _move(picked, batch_dims, indices.dim() - batch_dims, axis)


@op(
    CoreML5=f"x:T, indices:int32, axis:int32 const?; {_OLD}",
    CoreML6=f"x:T, indices:I, axis:int32 const?; {_IOS16}",
    CoreML7=f"x:T, indices:I, axis:int32 const?, validate_indices:bool const?; {_IOS17}",
)
def gather_along_axis(x: Tensor, indices: Tensor, axis: int = 0, validate_indices: bool = False) -> Tensor:
    """Element i along `axis` is the element of x at indices[i]; the other axes agree."""
    where = _from_start(indices, x.shape[axis])
    return words.gather(x, axis, where)


@op(
    CoreML5=f"x:T, indices:int32; {_OLD}",
    CoreML6=f"x:T, indices:I, batch_dims:int32 const?; {_IOS16}",
    CoreML7=f"x:T, indices:I, batch_dims:int32 const?, validate_indices:bool const?; {_IOS17}",
)
def gather_nd(x: Tensor, indices: Tensor, batch_dims: int = 0, validate_indices: bool = False) -> Tensor:
    """The slices x[indices[..., :]]; the first `batch_dims` axes are shared."""
    depth = indices.shape[-1]
    rows = x.reshape(math.prod(x.shape[: batch_dims + depth]), *x.shape[batch_dims + depth :])
    flat = _flat(indices, x.shape[batch_dims : batch_dims + depth])
    if batch_dims > 0:
        size = math.prod(x.shape[batch_dims : batch_dims + depth])
        flat = flat + _batch_offset(flat, x, batch_dims) * size
    picked = words.index_select(rows, 0, flat.reshape(-1))
    return picked.reshape((*indices.shape[:-1], *x.shape[batch_dims + depth :]))


@op(
    CoreML5=f"data:T, indices:int32, updates:T, axis:int32 const?, mode:string const?; {_OLD}",
    CoreML7="data:T, indices:int32, updates:T, axis:int32 const?, mode:string const?, "
    f"validate_indices:bool const?; {_OLD}",
)
def scatter(
    data: Tensor,
    indices: Tensor,
    updates: Tensor,
    axis: int = 0,
    mode: str = "add",
    validate_indices: bool = False,
) -> Tensor:
    """Slice indices[i] of `data` along `axis` combined with slice i of `updates`."""
    shape = [1] * data.dim()
    shape[axis] = -1
    where = _from_start(indices, data.shape[axis]).reshape(shape)
    return _combined("scatter", data, axis, where.expand(updates.shape), updates, mode)


@op(
    CoreML5=f"data:T, indices:int32, updates:T, axis:int32 const?, mode:string const?; {_OLD}",
    CoreML7="data:T, indices:int32, updates:T, axis:int32 const?, mode:string const?, "
    f"validate_indices:bool const?; {_OLD}",
)
def scatter_along_axis(
    data: Tensor,
    indices: Tensor,
    updates: Tensor,
    axis: int = 0,
    mode: str = "add",
    validate_indices: bool = False,
) -> Tensor:
    """Element indices[i] along `axis` of `data` combined with element i of `updates`; other axes agree."""
    where = _from_start(indices, data.shape[axis])
    return _combined("scatter_along_axis", data, axis, where, updates, mode)


@op(
    CoreML5=f"data:T, indices:int32, updates:T, mode:string const?; {_OLD}",
    CoreML7=f"data:T, indices:int32, updates:T, mode:string const?, validate_indices:bool const?; {_OLD}",
)
def scatter_nd(
    data: Tensor, indices: Tensor, updates: Tensor, mode: str = "add", validate_indices: bool = False
) -> Tensor:
    """The slices data[indices[..., :]] combined with `updates`."""
    depth = indices.shape[-1]
    count, size = math.prod(data.shape[:depth]), math.prod(data.shape[depth:])
    flat = _flat(indices, data.shape[:depth]).reshape(-1, 1)
    rows = updates.reshape(flat.shape[0], size)
    result = _combined("scatter_nd", data.reshape(count, size), 0, flat.expand(rows.shape), rows, mode)
    return result.reshape(data.shape)


def _combined(op_name: str, data: Tensor, axis: int, where: Tensor, updates: Tensor, mode: str) -> Tensor:
    """Combines the elements `where` along `axis` with `updates`, with all of them where indices repeat."""
    check_choice(op_name, "mode", mode, _MODES)
    if mode == "update":
        return data.scatter(axis, where, updates)
    if mode == "add":
        return data.scatter_add(axis, where, updates)
    if mode == "sub":
        return data.scatter_add(axis, where, -updates)
    if mode == "mul":
        return data.scatter_reduce(axis, where, updates, "prod")
    if mode == "div":
        divisor = torch.ones_like(data).scatter_reduce(axis, where, updates, "prod")
        rounding = None if data.is_floating_point() else "floor"
        return torch.div(data, divisor, rounding_mode=rounding)
    return data.scatter_reduce(axis, where, updates, "amax" if mode == "max" else "amin")


def _from_start(indices: Tensor, size: int) -> Tensor:
    """Returns `indices` as int64, all counted from the start of an axis of `size` elements."""
    wide = indices.long()
    return torch.where(wide < 0, wide + size, wide) if indices.dtype.is_signed else wide


def _flat(indices: Tensor, sizes: torch.Size) -> Tensor:
    """Returns the row-major position, of shape indices.shape[:-1], of each index into axes of `sizes`."""
    flat = indices.new_zeros(indices.shape[:-1], dtype=torch.int64)
    for axis, size in enumerate(sizes):
        flat = flat * size + _from_start(indices[..., axis], size)
    return flat


def _batch_offset(indices: Tensor, x: Tensor, batch_dims: int) -> Tensor:
    """Returns the row-major position in the batch, such that it broadcasts to `indices`."""
    batch = x.shape[:batch_dims]
    position = torch.arange(math.prod(batch), device=x.device)
    return position.reshape(*batch, *[1] * (indices.dim() - batch_dims))


def _move(x: Tensor, start: int, count: int, to: int) -> Tensor:
    """Moves `count` axes from `start` on such that the first of them becomes axis `to`."""
    if count == 0 or start == to:
        return x
    return x.movedim(tuple(range(start, start + count)), tuple(range(to, to + count)))
