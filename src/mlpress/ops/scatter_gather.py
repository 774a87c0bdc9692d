"""Elements taken from, and combined into, places that a tensor of indices names.

Negative indices count from the end; from iOS 17 on Core ML does not say what they do, and with
`validate_indices` they are out of bounds. An index out of bounds raises, with and without it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
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
    if batch_dims == 0:
        where = _from_start(indices, x.shape[axis], validate_indices)
        picked = words.index_select(x, axis, where.reshape(-1))
        return picked.reshape((*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]))
    together = x.movedim(axis, batch_dims)
    flat = _flat(indices.unsqueeze(-1), [x.shape[axis]], validate_indices, x.shape[:batch_dims])
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
    where = _from_start(indices, x.shape[axis], validate_indices)
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
    sizes = x.shape[batch_dims : batch_dims + depth]
    flat = _flat(indices, sizes, validate_indices, x.shape[:batch_dims])
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
    where = _from_start(indices, data.shape[axis], validate_indices).reshape(shape)
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
    where = _from_start(indices, data.shape[axis], validate_indices)
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
    flat = _flat(indices, data.shape[:depth], validate_indices).reshape(-1, 1)
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


def _from_start(indices: Tensor, size: int, validate: bool) -> Tensor:
    """Returns `indices` as int64, counted from the start of an axis of `size` elements."""
    wide = indices.long()
    return wide if validate or not indices.dtype.is_signed else torch.where(wide < 0, wide + size, wide)


def _flat(indices: Tensor, sizes: Sequence[int], validate: bool, batch: Sequence[int] = ()) -> Tensor:
    """Returns row-major positions, of shape indices.shape[:-1], in a tensor of shape `batch`, then `sizes`.

    Where an index is out of bounds, that is the first position behind the tensor: it could be within, in
    another row.
    """
    first = torch.arange(math.prod(batch), device=indices.device)
    flat = first.reshape([*batch, *[1] * (indices.dim() - 1 - len(batch))]).expand(indices.shape[:-1])
    outside = torch.zeros((), dtype=torch.bool, device=indices.device)
    for axis, size in enumerate(sizes):
        where = _from_start(indices[..., axis], size, validate)
        flat = flat * size + where
        outside = outside | (where < 0) | (where >= size)
    return torch.where(outside, math.prod(batch) * math.prod(sizes), flat)


def _move(x: Tensor, start: int, count: int, to: int) -> Tensor:
    """Moves `count` axes from `start` on such that the first of them becomes axis `to`."""
    if count == 0 or start == to:
        return x
    return x.movedim(tuple(range(start, start + count)), tuple(range(to, to + count)))
