"""Parts and joins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from mlpress.converter.lowering.context import Context
from mlpress.converter.lowering.errors import LoweringError
from mlpress.converter.lowering.registry import lowers
from mlpress.converter.lowering.sizes import Size, known
from mlpress.mil import Value

_TO_THE_END = 2**31 - 1


@lowers("aten.cat.default", "aten.concat.default", "aten.concatenate.default")
def cat(context: Context, values: Sequence[Value], axis: int = 0) -> Value:
    """Values joined along an axis; empty vectors are left out."""
    kept = [value for value in values if not _is_empty(context, value)] or list(values[:1])
    return context.concat([context.as_result(value) for value in kept], axis)


def _is_empty(context: Context, value: Value) -> bool:
    return any(known(size) == 0 for size in context.shape(value))


@lowers("aten.stack.default")
def stack(context: Context, values: Sequence[Value], axis: int = 0) -> Value:
    """Values joined along a new axis."""
    return context.result("stack", values=[context.as_result(value) for value in values], axis=axis)


@lowers("aten.hstack.default", "aten.column_stack.default")
def hstack(context: Context, values: Sequence[Value]) -> Value:
    """Values joined along axis 1, vectors along axis 0."""
    return cat(context, values, 0 if context.rank(values[0]) == 1 else 1)


@lowers(
    "aten.split_with_sizes.default",
    "aten.split.sizes",
    "aten.split_with_sizes_copy.default",
)
def split_with_sizes(context: Context, x: Value, sizes: Sequence[Size], axis: int = 0) -> tuple[Value, ...]:
    """Parts of given sizes."""
    plain = [known(size) for size in sizes]
    if len(sizes) == 1:
        return (x,)
    if None not in plain:
        return context.results("split", x=x, split_sizes=plain, axis=axis)
    parts: list[Value] = []
    start: Size = 0
    for size, fake in zip(sizes, context.expected, strict=True):
        parts.append(_open_slice(context, x, axis, start, start + size, fake))
        start = start + size
    return tuple(parts)


@lowers(
    "aten.split.Tensor",
    "aten.chunk.default",
    "aten.tensor_split.sections",
    "aten.tensor_split.indices",
    "aten.unsafe_split.Tensor",
)
def split(context: Context, x: Value, size: Any, axis: int = 0) -> tuple[Value, ...]:
    """Parts as torch says."""
    del size
    return split_with_sizes(context, x, [fake.shape[axis] for fake in context.expected], axis)


@lowers("aten.unbind.int", "aten.unbind_copy.int")
def unbind(context: Context, x: Value, axis: int = 0) -> tuple[Value, ...]:
    """The parts along an axis, without that axis."""
    count = context.size(x, axis)
    if count == 1:
        return (context.squeeze(x, [axis]),)
    return tuple(
        _element(context, x, axis % context.rank(x), index, fake)
        for index, fake in enumerate(context.expected)
    )


@lowers("aten.slice.Tensor", "aten.slice_copy.Tensor")
def slice_(
    context: Context,
    x: Value,
    axis: int = 0,
    start: Size | None = None,
    stop: Size | None = None,
    step: int = 1,
) -> Value:
    """Elements start, start + step, ... before stop."""
    axis %= context.rank(x)
    size = context.shape(x)[axis]
    total, first, last = known(size), known(start or 0), known(_end(stop))
    if first is None or last is None:
        return _open_slice(
            context, x, axis, start or 0, size if stop is None else stop, context.expected, step
        )
    if total is not None:
        first, last, _ = slice(first, last, step).indices(total)
        if first == 0 and last == total and step == 1:
            return x
        last = max(first, last)
    elif first == 0 and last == _TO_THE_END and step == 1:
        return x
    to_end = last >= (_TO_THE_END if total is None else total)
    return context.slice(x, axis, first, None if to_end else last, step)


def _end(stop: Size | None) -> Size:
    if stop is None:
        return _TO_THE_END
    number = known(stop)
    return stop if number is None else min(number, _TO_THE_END)


def _open_slice(
    context: Context, x: Value, axis: int, start: Size, stop: Size, fake: torch.Tensor, step: int = 1
) -> Value:
    """A slice whose bounds only a run knows."""
    rank, axis = context.rank(x), axis % context.rank(x)
    begin: list[Size] = [0] * rank
    end: list[Size] = [0] * rank
    begin[axis], end[axis] = start, stop
    stride = [step if i == axis else 1 for i in range(rank)]
    others = [i != axis for i in range(rank)]
    return context.typed(
        "slice_by_index",
        fake,
        x=x,
        begin=context.sizes.vector(begin),
        end=context.sizes.vector(end),
        stride=stride,
        begin_mask=others,
        end_mask=others,
    )


@lowers("aten.narrow.default")
def narrow(context: Context, x: Value, axis: int, start: Size, length: Size) -> Value:
    """Elements from `start` on."""
    return slice_(context, x, axis, start, start + length)


@lowers("aten.select.int", "aten.select_copy.int")
def select(context: Context, x: Value, axis: int, index: Size) -> Value:
    """One part along an axis, without that axis."""
    axis %= context.rank(x)
    if known(index) is None:
        position = context.sizes.scalar(index)
        return context.op("gather", x=x, indices=position, axis=axis)
    total = known(context.shape(x)[axis])
    number = known(index) or 0
    return _element(context, x, axis, number % total if total else number, context.expected)


def _element(context: Context, x: Value, axis: int, number: int, fake: torch.Tensor) -> Value:
    """One part along an axis, without that axis."""
    rank = context.rank(x)
    begin, end = [0] * rank, [0] * rank
    begin[axis], end[axis] = number, number + 1
    return context.typed(
        "slice_by_index",
        fake,
        x=x,
        begin=begin,
        end=end,
        stride=[1] * rank,
        begin_mask=[i != axis for i in range(rank)],
        end_mask=[i != axis or number == -1 for i in range(rank)],
        squeeze_mask=[i == axis for i in range(rank)],
    )


@lowers("aten.flip.default")
def flip(context: Context, x: Value, axes: Sequence[int]) -> Value:
    """The order along axes turned around."""
    return context.op("reverse", x=x, axes=list(axes)) if axes else x


@lowers("aten.roll.default")
def roll(context: Context, x: Value, shifts: Sequence[int], axes: Sequence[int]) -> Value:
    """Elements moved along axes, from the end to the beginning."""
    if not axes:
        flat = _rolled(context, context.reshape(x, [-1]), shifts[0], 0)
        return context.reshape(flat, tuple(context.expected.shape))
    for shift, axis in zip(shifts, axes, strict=True):
        x = _rolled(context, x, shift, axis % context.rank(x))
    return x


def _rolled(context: Context, x: Value, shift: int, axis: int) -> Value:
    total = known(context.shape(x)[axis])
    amount = shift if total is None else shift % total if total else 0
    if amount == 0:
        return x
    behind = context.slice(x, axis, -amount, None)
    front = context.slice(x, axis, 0, -amount)
    return context.concat([behind, front], axis)


@lowers("aten.diagonal.default", "aten.diagonal_copy.default")
def diagonal(context: Context, x: Value, offset: int = 0, first: int = 0, second: int = 1) -> Value:
    """The elements with equal indices along two axes, as the last axis."""
    rank = context.rank(x)
    first, second = first % rank, second % rank
    rows, columns = context.size(x, first), context.size(x, second)
    start = max(offset, 0) if offset >= 0 else -offset * columns
    count = max(0, min(rows + min(offset, 0), columns - max(offset, 0)))
    perm = [axis for axis in range(rank) if axis not in (first, second)] + [first, second]
    moved = context.transpose(x, perm)
    flat = context.reshape(moved, [*context.shape(moved)[:-2], rows * columns])
    indices = start + np.arange(count, dtype=np.int32) * (columns + 1)
    return context.op("gather", x=flat, indices=indices, axis=rank - 2)


@lowers("aten.unfold.default", "aten.unfold_copy.default")
def unfold(context: Context, x: Value, axis: int, size: int, step: int) -> Value:
    """Windows along an axis; their elements are the last axis."""
    rank = context.rank(x)
    axis %= rank
    windows = context.op("sliding_windows", x=x, axis=axis, size=size, stride=step)
    perm = [i for i in range(rank + 1) if i != axis + 1] + [axis + 1]
    return context.transpose(windows, perm)


@lowers("aten.as_strided.default", "aten.as_strided_copy.default")
def as_strided(
    context: Context, x: Value, sizes: Sequence[Size], strides: Sequence[Size], offset: Size | None = None
) -> Value:
    """Elements at regular places of the memory of x, which is in row-major order."""
    indices = np.full((), _fixed(offset or 0), np.int64)
    for size, stride in zip(sizes, strides, strict=True):
        indices = indices[..., None] + np.arange(_fixed(size)) * _fixed(stride)
    flat = context.reshape(x, [-1])
    gathered = context.op("gather", x=flat, indices=indices.reshape(-1).astype(np.int32), axis=0)
    return context.reshape(gathered, sizes)


def _fixed(size: Size) -> int:
    number = known(size)
    if number is None:
        raise LoweringError(f"as_strided with the size {size}, which only a run knows")
    return number
