"""Tensors made, joined, split, filled and described."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import torch
from torch import Tensor

from mlpress.errors import InvalidProgramError
from mlpress.ops.op import op

_T: Final = "T=fp16|fp32|int32|bool"


@op(CoreML5="x:any")
def identity(x: Any) -> Any:
    """X itself: a tensor, a list or a dictionary."""
    return x


@op(CoreML5=f"x:T; {_T}")
def shape(x: Tensor) -> Tensor:
    """The sizes of x, an int32 vector."""
    if all(isinstance(size, int) for size in x.shape):
        return torch.tensor(x.shape, dtype=torch.int32, device=x.device)
    return torch.stack([torch.full((), size, dtype=torch.int32, device=x.device) for size in x.shape])


@op(CoreML5="values:tensors, axis:int32 const, interleave:bool const?")
def concat(values: Sequence[Tensor], axis: int, interleave: bool = False) -> Tensor:
    """Joins `values` along `axis`; interleaved, elements i of all of them come before elements i + 1."""
    if values[0].dim() == 0:
        return torch.stack(tuple(values))
    if not interleave:
        return torch.cat(tuple(values), axis)
    axis %= values[0].dim()
    return torch.stack(tuple(values), axis + 1).flatten(axis, axis + 1)


@op(CoreML5="values:tensors, axis:int32 const")
def stack(values: Sequence[Tensor], axis: int) -> Tensor:
    """Joins `values` along a new axis."""
    return torch.stack(tuple(values), axis)


@op(CoreML5=f"x:T, num_splits:int32 const?, split_sizes:int32 const?, axis:int32 const; {_T}")
def split(
    x: Tensor, axis: int, num_splits: int | None = None, split_sizes: Sequence[int] | None = None
) -> tuple[Tensor, ...]:
    """Parts of x along `axis`: of `split_sizes`, or `num_splits` parts of equal size."""
    if split_sizes is not None:
        return torch.split(x, list(split_sizes), axis)
    if num_splits is None or (isinstance(x.shape[axis], int) and x.shape[axis] % num_splits != 0):
        raise InvalidProgramError(
            f"split: {x.shape[axis]} elements cannot be split into {num_splits} equal parts"
        )
    return torch.split(x, [x.shape[axis] // num_splits] * num_splits, axis)


@op(CoreML5=f"x:T, reps:int32; {_T}")
def tile(x: Tensor, reps: Sequence[int]) -> Tensor:
    """X repeated reps[i] times along axis i."""
    return x.repeat(tuple(reps))


@op(CoreML5=f"shape:int32, value:T const?; {_T}", dtype_of="value")
def fill(
    shape: Sequence[int], value: float | int | bool = 0.0, *, result_dtype: torch.dtype, anchor: Tensor
) -> Tensor:
    """A tensor of `shape` in which every element is `value`."""
    return anchor.new_full(tuple(shape), value, dtype=result_dtype)


@op(CoreML6=f"ref_tensor:T, value:U const?; {_T}, U=fp16|fp32|int32|bool", dtype_of="value")
def fill_like(ref_tensor: Tensor, value: float | int | bool = 0.0, *, result_dtype: torch.dtype) -> Tensor:
    """A tensor of the shape of `ref_tensor` in which every element is `value`."""
    return ref_tensor.new_full(ref_tensor.shape, value, dtype=result_dtype)


@op(CoreML5="end:T, start:T, step:T; T=fp16|fp32|int32", dtype_of="start")
def range_1d(
    end: float | int, start: float | int, step: float | int, *, result_dtype: torch.dtype, anchor: Tensor
) -> Tensor:
    """Start, start + step, ... before `end`; nothing if `end` lies in the other direction."""
    if (end - start) * step <= 0:
        return anchor.new_empty((0,), dtype=result_dtype)
    return torch.arange(start, end, step, dtype=result_dtype, device=anchor.device)


@op(
    CoreML5="indices:int32, one_hot_vector_size:int32, axis:int32 const?, on_value:T const?, "
    f"off_value:T const?; {_T}",
    dtype_of="on_value",
)
def one_hot(
    indices: Tensor,
    one_hot_vector_size: int,
    axis: int = -1,
    on_value: float | int | bool = 1,
    off_value: float | int | bool = 0,
    *,
    result_dtype: torch.dtype,
) -> Tensor:
    """A new axis with `on_value` at the index and `off_value` elsewhere; an index out of range is nowhere."""
    classes = torch.arange(one_hot_vector_size, dtype=indices.dtype, device=indices.device)
    behind = indices.dim() - axis if axis >= 0 else -1 - axis
    hot = indices.unsqueeze(axis) == classes.reshape(-1, *[1] * behind)
    on = torch.full((), on_value, dtype=result_dtype, device=indices.device)
    return torch.where(hot, on, torch.full_like(on, off_value))


@op(CoreML5=f"x:T; {_T}")
def non_zero(x: Tensor) -> Tensor:
    """The indices of elements that are not 0, as rows of an int32 matrix, in row-major order."""
    return x.nonzero().int()


@op(CoreML5=f"x:T, lower:int32 const?, upper:int32 const?; {_T}")
def band_part(x: Tensor, lower: int = -1, upper: int = -1) -> Tensor:
    """Zeros but for the main diagonal, `lower` below it and `upper` above it (all, if negative)."""
    if lower >= 0:
        x = x.triu(-lower)
    return x.tril(upper) if upper >= 0 else x


@op(CoreML5="x:T, axis:int32 const?, exclusive:bool const?, reverse:bool const?; T=fp16|fp32|int32")
def cumsum(x: Tensor, axis: int = 0, exclusive: bool = False, reverse: bool = False) -> Tensor:
    """Sums up to each element along `axis`; without it if `exclusive`, from the end on if `reverse`."""
    ordered = x.flip(axis) if reverse else x
    if exclusive and x.shape[axis] > 0:
        start = torch.zeros_like(ordered.narrow(axis, 0, 1))
        ordered = torch.cat((start, ordered.narrow(axis, 0, x.shape[axis] - 1)), axis)
    sums = ordered.cumsum(axis, dtype=x.dtype)
    return sums.flip(axis) if reverse else sums
