"""The same elements in another shape or order."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

from mlpress.errors import InvalidProgramError
from mlpress.ops.op import op
from mlpress.ops.words import flip, gather

_OLD: Final = "T=fp16|fp32|int32|bool"
_NEW: Final = "T=fp16|fp32|int8|int16|int32|uint8|uint16|bool"


@op(CoreML5=f"x:T, axes:int32 const; {_OLD}", CoreML7=f"x:T, axes:int32 const; {_NEW}")
def expand_dims(x: Tensor, axes: Sequence[int]) -> Tensor:
    """Inserts axes of size 1, at these positions of the result."""
    rank = x.dim() + len(axes)
    for axis in sorted(axis % rank for axis in axes):
        x = x.unsqueeze(axis)
    return x


@op(CoreML5=f"x:T, axes:int32 const?; {_OLD}", CoreML7=f"x:T, axes:int32 const?; {_NEW}")
def squeeze(x: Tensor, axes: Sequence[int] | None = None) -> Tensor:
    """Drops those of `axes` (of all axes, if left out) that have size 1."""
    return x.squeeze() if axes is None else x.squeeze(tuple(axes))


@op(
    CoreML5=f"x:T, shape:int32; {_OLD}",
    CoreML7="x:T, shape:U; T=fp16|fp32|int8|uint8|int16|uint16|int32|bool, U=int8|int16|int32",
)
def reshape(x: Tensor, shape: Sequence[int]) -> Tensor:
    """The same elements in row-major order; one -1 is what is left over, 0 copies a size of x.

    Axes are matched from the last one on, and a 0 that has no counterpart is 1. Up to iOS 16 a 0 is legal in
    shapes of the rank of x only.
    """
    return x.reshape(_without_zeros(x, shape) if 0 in shape else tuple(shape))


def _without_zeros(x: Tensor, shape: Sequence[int]) -> list[int]:
    missing = len(shape) - x.dim()
    return [
        size if size != 0 else x.shape[axis - missing] if axis >= missing else 1
        for axis, size in enumerate(shape)
    ]


@op(
    CoreML6=f"x:T, ref_tensors:tensors, begins:tensors, ends:tensors, end_masks:tensors; {_OLD}",
    CoreML7=f"x:T, ref_tensors:tensors, begins:tensors, ends:tensors, end_masks:tensors; {_NEW}",
)
def reshape_like(
    x: Tensor,
    ref_tensors: Sequence[Tensor],
    begins: Sequence[int],
    ends: Sequence[int],
    end_masks: Sequence[bool],
) -> Tensor:
    """Reshapes to the sizes begin:end (where masked: all from begin on) of each of `ref_tensors`, joined."""
    shape: list[int] = []
    for reference, begin, end, to_the_end in zip(ref_tensors, begins, ends, end_masks, strict=True):
        shape += reference.shape[begin:] if to_the_end else reference.shape[begin:end]
    return x.reshape(shape)


@op(CoreML5=f"x:T, perm:int32 const; {_OLD}", CoreML7=f"x:T, perm:int32 const; {_NEW}")
def transpose(x: Tensor, perm: Sequence[int]) -> Tensor:
    """Axis i of the result is axis perm[i] of x."""
    return x.permute(tuple(perm))


@op(CoreML5=f"x:T, axis:int32 const?; {_OLD}")
def flatten2d(x: Tensor, axis: int = 1) -> Tensor:
    """Shape [product of the sizes before `axis`, product of the sizes from it on]."""
    return x.reshape(math.prod(x.shape[:axis]), math.prod(x.shape[axis:]))


@op(CoreML5=f"x:T, axes:int32 const?; {_OLD}", CoreML7=f"x:T, axes:int32 const?; {_NEW}")
def reverse(x: Tensor, axes: Sequence[int] | None = None) -> Tensor:
    """Turns the order along `axes` (along all axes, if left out) around."""
    return flip(x, tuple(range(x.dim())) if axes is None else tuple(axes))


@op(
    CoreML5=f"x:T, lengths:int32, seq_axis:int32 const?, batch_axis:int32 const?; {_OLD}",
    CoreML7=f"x:T, lengths:U, seq_axis:int32 const?, batch_axis:int32 const?; {_NEW}, U=int8|int16|int32",
)
def reverse_sequence(x: Tensor, lengths: Tensor, seq_axis: int = 0, batch_axis: int = 0) -> Tensor:
    """Turns the first lengths[b] elements along `seq_axis` around, for each b along `batch_axis`."""
    if batch_axis % x.dim() == seq_axis % x.dim():
        raise InvalidProgramError(f"reverse_sequence: seq_axis and batch_axis are both {seq_axis}")
    position = torch.arange(x.shape[seq_axis], device=x.device)
    length = lengths.long().unsqueeze(1)
    source = torch.where(position < length, length - 1 - position, position)  # [batch, sequence]
    axes = (batch_axis, seq_axis)
    moved = x.movedim(axes, (0, 1))
    indices = source.reshape(*source.shape, *(1,) * (moved.dim() - 2)).expand_as(moved)
    return gather(moved, 1, indices).movedim((0, 1), axes)


@op(
    CoreML5="x:T, axis:int32 const, size:int32 const, stride:int32 const?; T=fp16|fp32|int32",
    CoreML7=f"x:T, axis:int32 const, size:int32 const, stride:int32 const?; {_NEW}",
)
def sliding_windows(x: Tensor, axis: int, size: int, stride: int = 1) -> Tensor:
    """Windows of `size` elements every `stride` along `axis`; their elements are a new axis after it."""
    axis %= x.dim()
    return x.unfold(axis, size, stride).movedim(-1, axis + 1)
