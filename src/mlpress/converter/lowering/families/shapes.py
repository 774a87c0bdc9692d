"""The same elements in another shape or order; parts and joins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from mlpress import bits
from mlpress.converter.lowering.context import Context, Operand
from mlpress.converter.lowering.errors import LoweringError
from mlpress.converter.lowering.registry import lowers
from mlpress.converter.lowering.sizes import Size, known
from mlpress.mil import Value

_TO_THE_END = 2**31 - 1


@lowers(
    "aten.view.default",
    "aten.reshape.default",
    "aten._unsafe_view.default",
    "aten.flatten.using_ints",
    "aten.unflatten.int",
    "aten._reshape_copy.default",
    "aten.view_copy.default",
    "aten.view_as.default",
    "aten.reshape_as.default",
)
def reshape(context: Context, x: Value, *rest: Any) -> Value:
    """X in the shape that torch says."""
    del rest
    return context.reshape(x, tuple(context.expected.shape))


@lowers("aten.view.dtype")
def view_dtype(context: Context, x: Value, dtype: torch.dtype) -> Value:
    """X, if only the width of its type of floats or integers changes."""
    raise LoweringError(f"the bytes of {x.name!r} are read as {dtype}")


@lowers("aten.permute.default", "aten.permute_copy.default")
def permute(context: Context, x: Value, axes: Sequence[int]) -> Value:
    """Axis i of the result is axis axes[i] of x."""
    rank = context.rank(x)
    return context.transpose(x, [axis % rank for axis in axes])


@lowers("aten.transpose.int", "aten.transpose_copy.int", "aten.swapaxes.default", "aten.swapdims.default")
def transpose(context: Context, x: Value, first: int, second: int) -> Value:
    """Two axes swapped."""
    perm = list(range(context.rank(x)))
    if perm:
        perm[first], perm[second] = perm[second], perm[first]
    return context.transpose(x, perm)


@lowers(
    "aten.t.default", "aten.numpy_T.default", "aten.t_copy.default", "aten.mT.default", "aten.adjoint.default"
)
def t(context: Context, x: Value) -> Value:
    """The last two axes swapped."""
    return x if context.rank(x) < 2 else transpose(context, x, -2, -1)


@lowers("aten.movedim.int", "aten.movedim.intlist", "aten.moveaxis.int")
def movedim(context: Context, x: Value, source: Any, target: Any) -> Value:
    """Axes moved to other places, the rest in order."""
    rank = context.rank(x)
    sources = [axis % rank for axis in (source if isinstance(source, list) else [source])]
    targets = [axis % rank for axis in (target if isinstance(target, list) else [target])]
    placed = dict(zip(targets, sources, strict=True))
    others = iter(axis for axis in range(rank) if axis not in sources)
    return context.transpose(x, [placed[axis] if axis in placed else next(others) for axis in range(rank)])


@lowers("aten.unsqueeze.default", "aten.unsqueeze_copy.default")
def unsqueeze(context: Context, x: Value, axis: int) -> Value:
    """A new axis of size 1."""
    return context.expand_dims(x, [axis])


@lowers("aten.squeeze.dim", "aten.squeeze.dims", "aten.squeeze.default", "aten.squeeze_copy.dims")
def squeeze(context: Context, x: Value, axes: Any = None) -> Value:
    """X without axes of size 1 (all such, if none are given)."""
    rank = context.rank(x)
    wanted = list(range(rank)) if axes is None else axes if isinstance(axes, list) else [axes]
    shape = context.shape(x)
    dropped = [axis % rank for axis in wanted if rank and known(shape[axis]) == 1]
    return context.squeeze(x, dropped)


@lowers(
    "aten.expand.default", "aten.expand_as.default", "aten.broadcast_to.default", "aten.expand_copy.default"
)
def expand(context: Context, x: Value, *rest: Any) -> Value:
    """X repeated along axes of size 1."""
    del rest
    shape, wanted = context.shape(x), tuple(context.expected.shape)
    new = len(wanted) - len(shape)
    x = context.expand_dims(x, list(range(new)))
    shape = (1,) * new + tuple(shape)
    reps: list[Size] = [
        to if known(size) == 1 and known(to) != 1 else 1 for size, to in zip(shape, wanted, strict=True)
    ]
    return _tile(context, x, reps)


@lowers("aten.repeat.default", "aten.tile.default")
def repeat(context: Context, x: Value, repeats: Sequence[Size]) -> Value:
    """X several times along each axis."""
    missing = len(repeats) - context.rank(x)
    x = context.expand_dims(x, list(range(missing)))
    return _tile(context, x, [1] * -min(missing, 0) + list(repeats))


def _tile(context: Context, x: Value, repeats: Sequence[Size]) -> Value:
    if all(known(count) == 1 for count in repeats):
        return x
    return context.result("tile", x=x, reps=context.sizes.vector(repeats))


@lowers("aten.repeat_interleave.self_int")
def repeat_interleave(
    context: Context, x: Value, repeats: int, axis: int | None = None, *, output_size: Any = None
) -> Value:
    """Each element several times in a row."""
    del output_size
    if axis is None:
        x, axis = context.reshape(x, [-1]), 0
    axis %= context.rank(x)
    spread = context.expand_dims(x, [axis + 1])
    reps = [1] * (context.rank(x) + 1)
    reps[axis + 1] = repeats
    return context.reshape(context.op("tile", x=spread, reps=reps), tuple(context.expected.shape))


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


@lowers("aten.constant_pad_nd.default")
def constant_pad(context: Context, x: Value, pads: Sequence[Size], value: Operand = 0) -> Value:
    """A constant around x; negative amounts cut off."""
    plain = [known(pad) for pad in pads]
    if None in plain:
        raise LoweringError("padding by an amount that only a run knows")
    return _padded(context, x, [pad or 0 for pad in plain], "constant", value)


@lowers("aten.pad.default")
def pad(
    context: Context, x: Value, pads: Sequence[Size], mode: str = "constant", value: float | None = None
) -> Value:
    """A border around x."""
    if mode == "circular":
        return _circular(context, x, [known(pad) or 0 for pad in pads])
    if mode == "constant":
        return constant_pad(context, x, pads, 0 if value is None else value)
    return _padded(context, x, [known(pad) or 0 for pad in pads], mode, 0)


def _circular(context: Context, x: Value, pads: Sequence[int]) -> Value:
    """What lies at one end of an axis goes around to the other."""
    for index in range(len(pads) // 2):
        before, after = pads[2 * index : 2 * index + 2]
        axis = context.rank(x) - 1 - index
        parts = [context.slice(x, axis, -before, None)] if before else []
        parts += [x, context.slice(x, axis, 0, after)] if after else [x]
        x = context.concat(parts, axis)
    return x


def _mode(mode: str) -> Any:
    def function(context: Context, x: Value, pads: Sequence[Size]) -> Value:
        return _padded(context, x, [known(pad) or 0 for pad in pads], mode, 0)

    return function


for _axes in (1, 2, 3):
    lowers(f"aten.reflection_pad{_axes}d.default")(_mode("reflect"))
    lowers(f"aten.replication_pad{_axes}d.default")(_mode("replicate"))


def _padded(context: Context, x: Value, pads: Sequence[int], mode: str, value: Operand) -> Value:
    """Pads come from the last axis on; those of MIL in the order of the axes."""
    pairs = [(pads[i], pads[i + 1]) for i in range(0, len(pads), 2)][::-1]
    first = context.rank(x) - len(pairs)
    for axis, (before, after) in enumerate(pairs, start=first):
        if before < 0 or after < 0:
            x = context.slice(x, axis, max(-before, 0), min(after, 0) or None)
    flat = [max(amount, 0) for pair in pairs for amount in pair]
    while len(flat) > 2 and flat[:2] == [0, 0] and mode == "constant":
        flat = flat[2:]
    if not any(flat):
        return x
    dtype = context.dtype(x)
    if mode != "constant" and sum(amount > 0 for amount in flat) and len(flat) > 4:
        return _one_axis_at_a_time(context, x, flat, mode)
    floats = context.floats(x)
    fill = float(value) if isinstance(value, int | float) else context.array(value)  # type: ignore[arg-type]
    padded = context.op("pad", x=floats, pad=flat, mode=mode, constant_val=fill)
    return context.cast(padded, dtype)


def _one_axis_at_a_time(context: Context, x: Value, flat: Sequence[int], mode: str) -> Value:
    """Core ML reflects and replicates along the last two axes only; others are moved there."""
    rank = context.rank(x)
    first = rank - len(flat) // 2
    for axis in range(first, rank):
        amounts = flat[2 * (axis - first) : 2 * (axis - first) + 2]
        if any(amounts):
            perm = list(range(rank))
            perm[axis], perm[-1] = perm[-1], perm[axis]
            moved = context.op(
                "pad", x=context.transpose(x, perm), pad=list(amounts), mode=mode, constant_val=0.0
            )
            x = context.transpose(moved, perm)
    return x


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


@lowers("aten.tril.default")
def tril(context: Context, x: Value, diagonal: int = 0) -> Value:
    """Zeros above a diagonal."""
    if diagonal >= 0:  # `band_part` reads negative bounds as "all"
        return _band(context, x, lower=-1, upper=diagonal)
    return _masked(context, x, np.tril(_ones(context, x), diagonal))


@lowers("aten.triu.default")
def triu(context: Context, x: Value, diagonal: int = 0) -> Value:
    """Zeros below a diagonal."""
    if diagonal <= 0:
        return _band(context, x, lower=-diagonal, upper=-1)
    return _masked(context, x, np.triu(_ones(context, x), diagonal))


def _band(context: Context, x: Value, lower: int, upper: int) -> Value:
    dtype = context.dtype(x)
    numbers = context.cast(x, bits.INT32) if dtype == bits.BOOL else x
    return context.cast(context.op("band_part", x=numbers, lower=lower, upper=upper), dtype)


def _ones(context: Context, x: Value) -> npt.NDArray[np.bool_]:
    return np.ones((context.size(x, -2), context.size(x, -1)), bool)


def _masked(context: Context, x: Value, mask: npt.NDArray[np.bool_]) -> Value:
    return context.result("select", cond=mask, a=x, b=context.cast(0, context.dtype(x)))
