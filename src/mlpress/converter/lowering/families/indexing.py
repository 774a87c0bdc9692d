"""Elements taken from and put at places that tensors name; choices between two tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from mlpress import bits
from mlpress.converter.lowering.context import Context, Operand
from mlpress.converter.lowering.errors import LoweringError
from mlpress.converter.lowering.registry import lowers
from mlpress.converter.lowering.sizes import Size, known
from mlpress.converter.lowering.values import program_dtype
from mlpress.mil import Opset, TensorType, Value

_REDUCTIONS: Final = {"sum": "add", "prod": "mul", "amax": "max", "amin": "min"}


@lowers("aten.embedding.default")
def embedding(context: Context, weight: Value, indices: Value, *rest: Any) -> Value:
    """Rows of a table; indices are not negative."""
    del rest
    return context.result("gather", x=weight, indices=indices, axis=0)


@lowers("aten.index_select.default")
def index_select(context: Context, x: Value, axis: int, indices: Value) -> Value:
    """Parts of x along an axis; indices are not negative."""
    return _gather(context, x, indices, axis % context.rank(x))


def _gather(context: Context, x: Value, indices: Value, axis: int) -> Value:
    dtype = context.dtype(x)
    numbers = context.cast(x, bits.INT32) if dtype == bits.BOOL else x
    return context.cast(context.op("gather", x=numbers, indices=indices, axis=axis), dtype)


@lowers("aten.gather.default")
def gather(context: Context, x: Value, axis: int, indices: Value, *, sparse_grad: bool = False) -> Value:
    """Element i along an axis is the one at indices[i]; the other axes of x may be longer."""
    del sparse_grad
    if context.rank(x) == 0:
        return x
    axis %= context.rank(x)
    for other, (size, wanted) in enumerate(zip(context.shape(x), context.shape(indices), strict=True)):
        if other != axis and known(size) != known(wanted):
            x = context.slice(x, other, 0, context.size(indices, other))
    dtype = context.dtype(x)
    numbers = context.cast(x, bits.INT32) if dtype == bits.BOOL else x
    return context.cast(context.op("gather_along_axis", x=numbers, indices=indices, axis=axis), dtype)


def not_negative(context: Context, indices: Value, size: Size) -> Value:
    """Returns indices that count from the start; from iOS 17 on no other are allowed."""
    array = context.array(indices)
    if array is not None and (array.size == 0 or array.min() >= 0):
        return indices
    total: Any = known(size)
    if total is None:
        total = context.sizes.scalar(size)
    from_end = context.op("add", x=indices, y=total)
    return context.op("select", cond=context.op("less", x=indices, y=0), a=from_end, b=indices)


@lowers("aten.index.Tensor")
def index(context: Context, x: Value, indices: Sequence[Value | None]) -> Value:
    """NumPy's indexing by tensors."""
    used = [axis for axis, part in enumerate(indices) if part is not None]
    parts = [part for part in indices if part is not None]
    masks = [part for part in parts if context.dtype(part) == bits.BOOL]
    if masks:
        return _by_mask(context, x, used, parts)
    shape = context.shape(x)
    places = [not_negative(context, part, shape[axis]) for axis, part in zip(used, parts, strict=True)]
    if len(used) == 1:
        return _gather(context, x, places[0], used[0])
    return _by_several(context, x, used, places)


def _by_mask(context: Context, x: Value, used: Sequence[int], parts: Sequence[Value]) -> Value:
    """The elements that a mask over the first axes sets; how many, only a run knows."""
    if len(parts) > 1 or used[0] != 0:
        raise LoweringError("a mask beside other indices, or not over the first axes")
    where = context.op("cast", x=parts[0], dtype="int32")
    fake = context.builder.inference.fresh(TensorType(bits.INT32, (None, context.rank(parts[0]))))
    places = context.typed("non_zero", fake, x=where)
    return context.typed("gather_nd", context.expected, x=x, indices=places)


def _by_several(context: Context, x: Value, used: Sequence[int], places: Sequence[Value]) -> Value:
    """Several axes at once, moved to the front; where they are neighbours the result moves back."""
    rank = context.rank(x)
    rest = [axis for axis in range(rank) if axis not in used]
    front = context.transpose(x, [*used, *rest])
    together = np.diff(used).max() == 1
    positions = joined_places(context, places)
    dtype = context.dtype(x)
    numbers = context.cast(front, bits.INT32) if dtype == bits.BOOL else front
    picked = context.cast(context.op("gather_nd", x=numbers, indices=positions), dtype)
    if not together or used[0] == 0:
        return picked
    count = context.rank(positions) - 1
    before = used[0]
    perm = [*range(count, count + before), *range(count), *range(count + before, context.rank(picked))]
    return context.transpose(picked, perm)


def joined_places(context: Context, places: Sequence[Value]) -> Value:
    """Returns indices of several axes, broadcast and side by side in a new last axis."""
    arrays = [array for place in places if (array := context.array(place)) is not None]
    if len(arrays) == len(places):
        return context.constant(np.stack(np.broadcast_arrays(*arrays), -1).astype(np.int32), "places")
    if len({tuple(map(str, context.shape(place))) for place in places}) > 1:
        total = places[0]
        for place in places[1:]:
            total = context.op("add", x=total, y=place)
        zeros = context.op("mul", x=total, y=0)
        places = [context.op("add", x=place, y=zeros) for place in places]
    return context.op("stack", values=list(places), axis=-1)


@lowers("aten.index_put.default", "aten._unsafe_index_put.default")
def index_put(
    context: Context, x: Value, indices: Sequence[Value | None], values: Value, accumulate: bool = False
) -> Value:
    """X with other values at places that tensors name."""
    used = [axis for axis, part in enumerate(indices) if part is not None]
    parts = [part for part in indices if part is not None]
    if any(context.dtype(part) == bits.BOOL for part in parts):
        return _put_by_mask(context, x, used, parts, values, accumulate)
    shape = context.shape(x)
    places = [not_negative(context, part, shape[axis]) for axis, part in zip(used, parts, strict=True)]
    if used == list(range(len(used))):
        return _put(context, x, places, values, accumulate)
    rest = [axis for axis in range(context.rank(x)) if axis not in used]
    perm = [*used, *rest]
    if np.diff(used).max(initial=1) == 1:  # the axes that the indices make stand where theirs stood
        count = context.rank(joined_places(context, places)) - 1
        before = used[0]
        missing = count + len(rest) - context.rank(values)
        values = context.expand_dims(values, list(range(missing))) if missing > 0 else values
        values = context.transpose(
            values,
            [*range(before, before + count), *range(before), *range(before + count, count + len(rest))],
        )
    put = _put(context, context.transpose(x, perm), places, values, accumulate)
    back = [perm.index(axis) for axis in range(len(perm))]
    return context.transpose(put, back)


def _put(context: Context, x: Value, places: Sequence[Value], values: Value, accumulate: bool) -> Value:
    dtype = context.dtype(x)
    data = context.cast(x, bits.INT32) if dtype == bits.BOOL else x
    positions = context.expand_dims(places[0], [-1]) if len(places) == 1 else joined_places(context, places)
    wanted = [*context.shape(positions)[:-1], *context.shape(x)[len(places) :]]
    updates = broadcast(context, context.cast(values, context.dtype(data)), wanted)
    mode = "add" if accumulate else "update"
    put = context.op("scatter_nd", data=data, indices=positions, updates=updates, mode=mode)
    return context.cast(put, dtype)


def broadcast(context: Context, x: Value, wanted: Sequence[Size]) -> Value:
    """Returns x expanded to the sizes `wanted`."""
    missing = len(wanted) - context.rank(x)
    x = context.expand_dims(x, list(range(missing)))
    repeats = [
        to if known(size) == 1 and known(to) != 1 else 1
        for size, to in zip(context.shape(x), wanted, strict=True)
    ]
    if all(known(count) == 1 for count in repeats):
        return x
    return context.typed(
        "tile", context.fake(x).expand(list(wanted)), x=x, reps=context.sizes.vector(repeats)
    )


def _put_by_mask(
    context: Context, x: Value, used: Sequence[int], parts: Sequence[Value], values: Value, accumulate: bool
) -> Value:
    if len(parts) > 1 or used[0] != 0 or (context.rank(values) > 0 and known(context.shape(values)[0]) != 1):
        raise LoweringError("values put where a mask is set, other than one value everywhere")
    mask = context.expand_dims(parts[0], list(range(context.rank(parts[0]), context.rank(x))))
    filled = context.op("add", x=x, y=values) if accumulate else context.cast(values, context.dtype(x))
    return context.op("select", cond=mask, a=filled, b=x)


@lowers("aten.scatter.src", "aten.scatter_add.default")
def scatter(context: Context, x: Value, axis: int, indices: Value, source: Value) -> Value:
    """X with the elements of `source` at indices along an axis."""
    mode = "add" if "scatter_add" in str(context.node and context.node.target) else "update"
    return _scatter(context, x, axis, indices, source, mode)


@lowers("aten.scatter.value")
def scatter_value(context: Context, x: Value, axis: int, indices: Value, value: Operand) -> Value:
    """X with one value at indices along an axis."""
    source = broadcast(context, context.cast(value, context.dtype(x)), context.shape(indices))
    return _scatter(context, x, axis, indices, source, "update")


@lowers("aten.scatter_reduce.two")
def scatter_reduce(
    context: Context,
    x: Value,
    axis: int,
    indices: Value,
    source: Value,
    reduce: str,
    *,
    include_self: bool = True,
) -> Value:
    """X combined with the elements of `source` at indices along an axis."""
    if reduce not in _REDUCTIONS or not include_self:
        raise LoweringError(
            f"scatter_reduce {reduce!r}, include_self={include_self}; supported: sum, prod, amax, amin"
        )
    return _scatter(context, x, axis, indices, source, _REDUCTIONS[reduce])


def _scatter(context: Context, x: Value, axis: int, indices: Value, source: Value, mode: str) -> Value:
    for other, (size, wanted) in enumerate(zip(context.shape(source), context.shape(indices), strict=True)):
        if known(size) != known(wanted):
            source = context.slice(source, other, 0, context.size(indices, other))
    dtype = context.dtype(x)
    data = context.cast(x, bits.INT32) if dtype == bits.BOOL else x
    axis %= context.rank(x)
    updates = context.cast(source, context.dtype(data))
    shorter = any(
        known(size) != known(full)
        for other, (size, full) in enumerate(zip(context.shape(indices), context.shape(x), strict=True))
        if other != axis
    )
    if shorter:  # the op wants all other axes whole
        put = _scatter_by_places(context, data, axis, indices, updates, mode)
    else:
        put = context.op(
            "scatter_along_axis", data=data, indices=indices, updates=updates, axis=axis, mode=mode
        )
    return context.cast(put, dtype)


def _scatter_by_places(
    context: Context, x: Value, axis: int, indices: Value, updates: Value, mode: str
) -> Value:
    sizes = [context.size(indices, other) for other in range(context.rank(indices))]
    grid = np.indices(sizes, dtype=np.int32)
    parts = [indices if other == axis else context.constant(grid[other]) for other in range(len(sizes))]
    positions = context.op("stack", values=parts, axis=-1)
    return context.op("scatter_nd", data=x, indices=positions, updates=updates, mode=mode)


@lowers("aten.index_add.default")
def index_add(
    context: Context, x: Value, axis: int, indices: Value, source: Value, *, alpha: float = 1
) -> Value:
    """X with the parts of `source` added at indices along an axis."""
    if alpha != 1:
        source = context.op("mul", x=source, y=context.cast(alpha, context.dtype(source)))
    return context.op(
        "scatter", data=x, indices=indices, updates=source, axis=axis % context.rank(x), mode="add"
    )


@lowers("aten.index_copy.default")
def index_copy(context: Context, x: Value, axis: int, indices: Value, source: Value) -> Value:
    """X with the parts of `source` at indices along an axis."""
    return context.op(
        "scatter", data=x, indices=indices, updates=source, axis=axis % context.rank(x), mode="update"
    )


@lowers("aten.index_fill.int_Scalar")
def index_fill(context: Context, x: Value, axis: int, indices: Value, value: Operand) -> Value:
    """X with one value in its parts at indices along an axis."""
    axis %= context.rank(x)
    wanted = list(context.shape(x))
    wanted[axis] = context.shape(indices)[0]
    return index_copy(
        context, x, axis, indices, broadcast(context, context.cast(value, context.dtype(x)), wanted)
    )


@lowers("aten.slice_scatter.default")
def slice_scatter(
    context: Context,
    x: Value,
    source: Value,
    axis: int = 0,
    start: Size | None = None,
    stop: Size | None = None,
    step: int = 1,
) -> Value:
    """X with other elements start, start + step, ... before stop along an axis."""
    axis %= context.rank(x)
    total, first, last = (
        known(context.shape(x)[axis]),
        known(start or 0),
        known(2**31 - 1 if stop is None else stop),
    )
    source = context.cast(source, context.dtype(x))
    if total is not None and first is not None and last is not None:
        first, last, _ = slice(first, last, step).indices(total)
        if first == 0 and last == total and step == 1:
            return source
    if context.opset >= Opset.CoreML8:
        return _slice_update(
            context, x, source, axis, start or 0, last if last is not None else stop, step, total
        )
    if total is None or first is None or last is None:
        raise LoweringError("a part whose bounds only a run knows is replaced; that needs iOS 18")
    indices = np.arange(first, last, step, dtype=np.int32)
    return context.op("scatter", data=x, indices=indices, updates=source, axis=axis, mode="update")


def _slice_update(
    context: Context, x: Value, source: Value, axis: int, start: Size, stop: Any, step: int, total: int | None
) -> Value:
    rank = context.rank(x)
    begin: list[Size] = [0] * rank
    end: list[Size] = [0] * rank
    begin[axis], end[axis] = start, stop
    limit = known(stop)
    to_end = limit is not None and (limit >= 2**31 - 1 or limit == total)
    if to_end:
        end[axis] = 0
    others = [i != axis for i in range(rank)]
    return context.result(
        "slice_update",
        x=x,
        update=source,
        begin=context.sizes.vector(begin),
        end=context.sizes.vector(end),
        stride=[step if i == axis else 1 for i in range(rank)],
        begin_mask=others,
        end_mask=[other or to_end for other in others],
    )


@lowers("aten.select_scatter.default")
def select_scatter(context: Context, x: Value, source: Value, axis: int, index: Size) -> Value:
    """X with another part at one index of an axis."""
    axis %= context.rank(x)
    source = context.expand_dims(source, [axis])
    if known(index) == -1:
        return slice_scatter(context, x, source, axis, -1, None)
    return slice_scatter(context, x, source, axis, index, index + 1)


@lowers("aten.copy.default")
def copy(context: Context, x: Value, source: Operand, non_blocking: bool = False) -> Value:
    """`source`, in the shape and element type of x."""
    del non_blocking
    return broadcast(context, context.cast(source, program_dtype(context.expected.dtype)), context.shape(x))


@lowers("aten.where.self", "aten.where.ScalarOther", "aten.where.ScalarSelf", "aten.where.Scalar")
def where(context: Context, condition: Value, x: Operand, y: Operand) -> Value:
    """X where the condition holds, else y."""
    dtype = program_dtype(context.expected.dtype)
    first, second = context.cast(x, dtype), context.cast(y, dtype)
    if context.rank(first) == context.rank(second) == 0:
        first = widened(context, first, context.expected.shape)
    return context.result("select", cond=context.cast(condition, bits.BOOL), a=first, b=second)


def widened(context: Context, number: Value, shape: Sequence[Size]) -> Value:
    """Returns a number in a shape: `select` takes its shape from what it chooses from."""
    plain = [size for size in map(known, shape) if size is not None]
    array = context.array(number)
    if array is not None and len(plain) == len(shape):
        return context.constant(np.full(plain, array, array.dtype))
    return broadcast(context, number, shape)


@lowers("aten.masked_fill.Scalar", "aten.masked_fill.Tensor")
def masked_fill(context: Context, x: Value, mask: Value, value: Operand) -> Value:
    """`value` where the mask is set, else x."""
    return where(context, mask, value, x)


@lowers("aten.nonzero.default")
def nonzero(context: Context, x: Value) -> Value:
    """The indices of elements that are not 0; how many, only a run knows."""
    return context.result("non_zero", x=x)


@lowers("aten.masked_select.default")
def masked_select(context: Context, x: Value, mask: Value) -> Value:
    """The elements that the mask sets, as a vector."""
    whole = broadcast(context, mask, context.shape(x))
    return _by_mask(context, x, [0], [whole])


@lowers("aten._local_scalar_dense.default", "aten.item.default")
def item(context: Context, x: Value) -> Value:
    """The one element of x."""
    return context.op("reshape", x=x, shape=np.zeros(0, np.int32)) if context.rank(x) else x


@lowers("aten.one_hot.default")
def one_hot(context: Context, x: Value, classes: int = -1) -> Value:
    """A new last axis with 1 at the index, else 0."""
    if classes < 0:
        raise LoweringError("one_hot without a number of classes")
    return context.op("one_hot", indices=x, one_hot_vector_size=classes, axis=-1, on_value=1, off_value=0)


@lowers("aten.bucketize.Tensor", "aten.searchsorted.Tensor")
def bucketize(
    context: Context, first: Value, second: Value, *, out_int32: bool = False, right: bool = False
) -> Value:
    """How many boundaries are below each element (or not above it, if `right`)."""
    del out_int32
    is_bucketize = context.node is not None and "bucketize" in str(context.node.target)
    x, boundaries = (first, second) if is_bucketize else (second, first)
    if context.rank(boundaries) != 1:
        raise LoweringError("searchsorted in more than one sequence")
    common = bits.FLOAT32 if bits.FLOAT32 in (context.dtype(x), context.dtype(boundaries)) else bits.INT32
    spread = context.expand_dims(context.cast(x, common), [context.rank(x)])
    kind = "greater_equal" if right else "greater"
    passed = context.op(kind, x=spread, y=context.cast(boundaries, common))
    return context.op("reduce_sum", x=context.cast(passed, bits.INT32), axes=[-1], keep_dims=False)
