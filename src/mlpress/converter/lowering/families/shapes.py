"""The same elements in another shape or order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from mlpress.converter.lowering.context import Context
from mlpress.converter.lowering.errors import LoweringError
from mlpress.converter.lowering.registry import lowers
from mlpress.converter.lowering.sizes import Size, known
from mlpress.mil import Value


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
