"""Slices: parts of a tensor that are regular along each axis."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import torch
from torch import Tensor

from mlpress.errors import InvalidProgramError
from mlpress.ops.op import op
from mlpress.ops.words import flip

_OLD: Final = "T=fp16|fp32|int32|bool"
_NEW: Final = "T=fp16|fp32|int8|int16|int32|uint8|uint16|bool, U=int8|int16|int32"
_largest: Final[Callable[[int, int], int]] = torch.sym_max
_smallest: Final[Callable[[int, int], int]] = torch.sym_min
_MASKS: Final = "begin_mask:bool const?, end_mask:bool const?, squeeze_mask:bool const?"


@op(
    CoreML5=f"x:T, begin:int32, end:int32, stride:int32 const?, {_MASKS}; {_OLD}",
    CoreML7=f"x:T, begin:U, end:U, stride:U const?, {_MASKS}; {_NEW}",
)
def slice_by_index(
    x: Tensor,
    begin: Sequence[int],
    end: Sequence[int],
    stride: Sequence[int] | None = None,
    begin_mask: Sequence[bool] | None = None,
    end_mask: Sequence[bool] | None = None,
    squeeze_mask: Sequence[bool] | None = None,
) -> Tensor:
    """x[begin:end:stride] along each axis, as Python slices; negative bounds count from the end.

    A bound that is masked is the first or last element in the direction of the stride. Where
    `squeeze_mask` holds, element `begin` is taken and the axis dropped.
    """
    index, flipped = _index(x, begin, end, stride, begin_mask, end_mask, squeeze_mask)
    part = x[index]
    return flip(part, flipped) if flipped else part


@op(CoreML8=f"x:T, update:T, begin:U, end:U, stride:U const?, {_MASKS}; {_NEW}")
def slice_update(
    x: Tensor,
    update: Tensor,
    begin: Sequence[int],
    end: Sequence[int],
    stride: Sequence[int] | None = None,
    begin_mask: Sequence[bool] | None = None,
    end_mask: Sequence[bool] | None = None,
    squeeze_mask: Sequence[bool] | None = None,
) -> Tensor:
    """A copy of x in which the part that `slice_by_index` would return is `update`."""
    index, flipped = _index(x, begin, end, stride, begin_mask, end_mask, squeeze_mask)
    copy = x.clone()
    copy[index] = flip(update, flipped) if flipped else update
    return copy


@op(CoreML5=f"x:T, begin:int32, size:int32; {_OLD}", CoreML7=f"x:T, begin:U, size:U; {_NEW}")
def slice_by_size(x: Tensor, begin: Sequence[int], size: Sequence[int]) -> Tensor:
    """x[begin:begin + size] along each axis; a size of -1 goes to the end, negative bounds count from it."""
    index = []
    for axis, (first, count) in enumerate(zip(begin, size, strict=True)):
        start = first + x.shape[axis] if first < 0 else first
        index.append(slice(start, None if count == -1 else start + count))
    return x[tuple(index)]


def _index(
    x: Tensor,
    begin: Sequence[int],
    end: Sequence[int],
    stride: Sequence[int] | None,
    begin_mask: Sequence[bool] | None,
    end_mask: Sequence[bool] | None,
    squeeze_mask: Sequence[bool] | None,
) -> tuple[tuple[int | slice, ...], list[int]]:
    """Returns an index with positive steps, and the axes of the part to turn around afterwards."""
    rank = x.dim()
    if len(begin) != rank or len(end) != rank:
        raise InvalidProgramError(f"a slice has {len(begin)} begins and {len(end)} ends; x has {rank} axes")
    index: list[int | slice] = []
    flipped: list[int] = []
    dropped = 0
    for axis in range(rank):
        if squeeze_mask is not None and squeeze_mask[axis]:
            index.append(begin[axis])
            dropped += 1
            continue
        step = 1 if stride is None else stride[axis]
        first = None if begin_mask is not None and begin_mask[axis] else begin[axis]
        last = None if end_mask is not None and end_mask[axis] else end[axis]
        if step < 0:
            flipped.append(axis - dropped)
            index.append(_ascending(first, last, step, x.shape[axis]))
        else:
            index.append(slice(first, last, step))
    return tuple(index), flipped


def _ascending(begin: int | None, end: int | None, step: int, size: int) -> slice:
    """Returns the slice with step -step that has the same elements; torch knows no negative steps."""
    highest, below = size - 1, -1
    if begin is not None:
        highest = _largest(_smallest(begin + size if begin < 0 else begin, highest), -1)
    if end is not None:
        below = _largest(end + size if end < 0 else end, -1)
    count = _largest(-((below - highest) // -step), 0)
    return slice(highest + (count - 1) * step, highest + 1, -step)  # of none, start >= stop
