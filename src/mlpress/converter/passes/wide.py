"""Writes operations on tensors of more than five axes with fewer, by merging neighbouring axes.

Each operation is done on tensors of other shapes, between reshapes. Those cancel out between two operations,
so that no tensor of more axes is left but the inputs and outputs of the function that have them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any, Final

from mlpress.converter.passes.editor import Editor, operands_of, shape_of, typed_like
from mlpress.converter.passes.moves import Reshape, Shape, Transpose
from mlpress.converter.passes.rank import MAX_RANK, narrowed, product
from mlpress.converter.passes.wide_blocks import narrow_control_flow
from mlpress.converter.passes.wide_site import CannotNarrowError, Site, around, is_wide
from mlpress.mil import Operation, Value

# fmt: off
_OF_ELEMENTS: Final = frozenset({
    "abs", "acos", "add", "asin", "atan", "atanh", "cast", "ceil", "clamped_relu", "clip", "cos", "cosh",
    "elu", "equal", "erf", "exp", "exp2", "floor", "floor_div", "gelu", "greater", "greater_equal",
    "identity", "inverse", "leaky_relu", "less", "less_equal", "linear_activation", "log", "logical_and",
    "logical_not", "logical_or", "logical_xor", "maximum", "minimum", "mod", "mul", "not_equal", "pow",
    "real_div", "relu", "relu6", "round", "rsqrt", "scaled_tanh", "select", "sigmoid", "sigmoid_hard",
    "sign", "silu", "sin", "sinh", "softplus", "softsign", "sqrt", "square", "sub", "tan", "tanh",
    "threshold", "thresholded_relu",
})
# fmt: on
_TENSORS: Final = ("x", "y", "cond", "a", "b")
_STEPWISE: Final = (
    *("reduce_l1_norm", "reduce_l2_norm", "reduce_log_sum_exp", "reduce_max", "reduce_mean", "reduce_min"),
    *("reduce_prod", "reduce_sum"),
)
"""Reductions that may be done over one axis after another."""


def narrow_operations(editor: Editor) -> None:
    """Writes each operation on tensors of more than five axes with fewer, where that is possible."""
    for operation in list(editor.operations()):
        rule = _RULES.get(operation.type)
        if rule is None or not any(map(is_wide, (*operands_of(operation), *operation.outputs))):
            continue
        try:
            rule(Site(editor, operation))
        except CannotNarrowError:
            continue  # what is left is refused in the end, with its place in the model
    for operation in list(editor.operations("reshape")):
        _skip(editor, operation)


def _skip(editor: Editor, reshape: Operation) -> None:
    """Lets a reshape of a wide tensor take what that was reshaped from."""
    while is_wide(reshape.inputs["x"]):
        value: Any = reshape.inputs["x"]
        before = editor.maker(value, "reshape")
        constant = editor.dense(value)
        if before is not None:
            editor.rebind(reshape, "x", before.inputs["x"])  # type: ignore[arg-type]
        elif constant is not None:
            editor.rebind(reshape, "x", editor.add_constant(constant.reshape(-1), f"{value.name}_flat"))
        else:
            return


# ---- each element by itself ----


def _elements(site: Site) -> None:
    result = site.operation.outputs[0]
    out = shape_of(result)
    tensors = {
        name: value
        for name, value in site.operation.inputs.items()
        if name in _TENSORS and isinstance(value, Value) and shape_of(value)
    }
    aligned = {name: _aligned(value, len(out)) for name, value in tensors.items()}
    groups = _groups(out, list(aligned.values()))
    if len(groups) > MAX_RANK:
        tensors = {name: _spread(site, value, aligned[name], out) for name, value in tensors.items()}
        aligned = dict.fromkeys(tensors, out)
        groups = [list(range(len(out)))]
    folded = {name: site.fold(value, _merged(aligned[name], groups)) for name, value in tensors.items()}
    shape = [product([out[axis] for axis in group]) for group in groups]
    site.done(site.put(site.operation.type, result, shape, **site.others(*tensors), **folded))


def _aligned(value: Any, rank: int) -> Shape:
    shape = shape_of(value)
    return (1,) * (rank - len(shape)) + shape


def _groups(out: Shape, shapes: Sequence[Shape]) -> list[list[int]]:
    """Returns runs of axes along which each tensor is as long as the result, or each of length 1."""

    def pattern(axis: int) -> tuple[bool, ...]:
        return tuple(shape[axis] == 1 for shape in shapes)

    real = [axis for axis, size in enumerate(out) if size != 1]
    return [list(run) for _, run in groupby(real, pattern)] or [[0]]


def _merged(shape: Shape, groups: list[list[int]]) -> list[int | None]:
    return [product([shape[axis] for axis in group]) for group in groups]


def _spread(site: Site, value: Any, shape: Shape, out: Shape) -> Value:
    """Repeats a tensor, one axis after another, until it has the shape `out`."""
    current: Value = value
    sizes = list(shape)
    for axis, size in enumerate(out):
        if sizes[axis] == size:
            continue
        if size is None:
            raise CannotNarrowError
        split = around(tuple(sizes), axis)
        current = site.fold(current, split)
        current = site.put("tile", value, [split[0], size, split[2]], x=current, reps=[1, size, 1])
        sizes[axis] = size
    return current


# ---- along axes ----


def _reduce(site: Site) -> None:
    shape, kind = shape_of(site.x), site.operation.type
    axes = site.literal("axes") if "axes" in site.operation.inputs else range(len(shape))
    gone = {axis % len(shape) for axis in axes}
    real = [axis for axis, size in enumerate(shape) if size != 1 or axis in gone]
    runs = [(key, list(run)) for key, run in groupby(real, gone.__contains__)]
    sizes = [product([shape[axis] for axis in run]) for _, run in runs]
    reduced = [index for index, (key, _) in enumerate(runs) if key]
    others = site.others("x", "axes", "keep_dims")
    if len(runs) <= MAX_RANK:
        kept = [size for index, size in enumerate(sizes) if index not in reduced]
        x = site.fold(site.x, sizes)
        site.done(
            site.put(kind, site.operation.outputs[0], kept, x=x, axes=reduced, keep_dims=False, **others)
        )
        return
    if kind not in _STEPWISE:
        raise CannotNarrowError
    value = site.x
    for index in reversed(reduced):
        value = site.fold(value, [product(sizes[:index]), sizes[index], product(sizes[index + 1 :])])
        del sizes[index]
        left = [product(sizes[:index]), product(sizes[index:])]
        value = site.put(kind, site.operation.outputs[0], left, x=value, axes=[1], keep_dims=False, **others)
    site.done(value)


def _index_of_extreme(site: Site) -> None:
    shape, axis = shape_of(site.x), site.axis()
    split = around(shape, axis)
    x = site.fold(site.x, split)
    others = site.others("x", "axis", "keep_dims")
    result = site.operation.outputs[0]
    site.done(
        site.put(site.operation.type, result, [split[0], split[2]], x=x, axis=1, keep_dims=False, **others)
    )


def _same_shape_along_axis(site: Site) -> None:
    split = around(shape_of(site.x), site.axis(0 if site.operation.type == "cumsum" else -1))
    x = site.fold(site.x, split)
    like = site.operation.outputs[0]
    site.done(site.put(site.operation.type, like, split, x=x, axis=1, **site.others("x", "axis")))


def _concat(site: Site) -> None:
    if site.literal("interleave", False):
        raise CannotNarrowError
    out = shape_of(site.operation.outputs[0])
    axis = int(site.literal("axis")) % len(out)
    values: Any = site.operation.inputs["values"]
    parts = [around(shape_of(value), axis) for value in values]
    folded = tuple(site.fold(value, part) for value, part in zip(values, parts, strict=True))
    result = site.operation.outputs[0]
    site.done(site.put("concat", result, around(out, axis), values=folded, axis=1, interleave=False))


def _stack(site: Site) -> None:
    result = site.operation.outputs[0]
    out = shape_of(result)
    axis = int(site.literal("axis")) % len(out)
    before, count, after = around(out, axis)
    values: Any = site.operation.inputs["values"]
    folded = tuple(site.fold(value, [before, 1, after]) for value in values)
    site.done(site.put("concat", result, [before, count, after], values=folded, axis=1, interleave=False))


def _several(site: Site) -> None:
    """Operations with several results: split and topk."""
    axis = site.axis()
    x = site.fold(site.x, around(shape_of(site.x), axis))
    results = site.operation.outputs
    types = [typed_like(result, around(shape_of(result), axis)) for result in results]
    kind, others = site.operation.type, site.others("x", "axis")
    made = site.editor.insert_several(site.operation, kind, types, x=x, axis=1, **others)
    site.all_done(made)


def _along_each(
    site: Site, lengths: Sequence[int | None], step: Callable[[int, Value, list[int | None]], Value]
) -> None:
    """Does an operation axis by axis.

    Args:
        site: The operation.
        lengths: Size that each axis of `x` has in the end, before any is dropped.
        step: Called with an axis that changes, `x` as [before, axis, behind], and the shape of the result.
    """
    value, shape = site.x, list(shape_of(site.x))
    for axis, length in enumerate(lengths):
        if length == -1:
            continue
        value = site.fold(value, around(tuple(shape), axis))
        shape[axis] = length
        value = step(axis, value, around(tuple(shape), axis))
    site.done(value)


def _slice(site: Site) -> None:
    shape = shape_of(site.x)
    rank = len(shape)
    begin, end = site.literal("begin"), site.literal("end")
    stride = site.literal("stride", [1] * rank)
    from_start, to_end, squeezed = (
        site.literal(name, [False] * rank) for name in ("begin_mask", "end_mask", "squeeze_mask")
    )
    lengths: list[int | None] = []
    for axis, size in enumerate(shape):
        if squeezed[axis]:
            end[axis], to_end[axis], stride[axis] = begin[axis] + 1, begin[axis] == -1, 1
        part = slice(
            None if from_start[axis] else begin[axis], None if to_end[axis] else end[axis], stride[axis]
        )
        if part == slice(None, None, 1):
            lengths.append(-1)
        elif size is None:
            raise CannotNarrowError
        else:
            lengths.append(len(range(*part.indices(size))))

    def step(axis: int, value: Value, after: list[int | None]) -> Value:
        flags = {
            "begin_mask": [True, bool(from_start[axis]), True],
            "end_mask": [True, bool(to_end[axis]), True],
        }
        return site.put(
            "slice_by_index",
            site.x,
            after,
            x=value,
            begin=[0, begin[axis], 0],
            end=[0, end[axis], 0],
            stride=[1, stride[axis], 1],
            squeeze_mask=[False] * 3,
            **flags,
        )

    _along_each(site, lengths, step)


def _slice_by_size(site: Site) -> None:
    begin, size = site.literal("begin"), site.literal("size")
    shape = shape_of(site.x)
    whole = [
        start == 0 and count in (-1, length) for start, count, length in zip(begin, size, shape, strict=True)
    ]
    out = shape_of(site.operation.outputs[0])

    def step(axis: int, value: Value, after: list[int | None]) -> Value:
        return site.put(
            "slice_by_size", site.x, after, x=value, begin=[0, begin[axis], 0], size=[-1, size[axis], -1]
        )

    _along_each(site, [-1 if same else length for same, length in zip(whole, out, strict=True)], step)


def _tile(site: Site) -> None:
    reps, out = site.literal("reps"), shape_of(site.operation.outputs[0])

    def step(axis: int, value: Value, after: list[int | None]) -> Value:
        return site.put("tile", site.x, after, x=value, reps=[1, reps[axis], 1])

    _along_each(site, [-1 if count == 1 else size for count, size in zip(reps, out, strict=True)], step)


def _reverse(site: Site) -> None:
    shape = shape_of(site.x)
    axes = site.literal("axes") if "axes" in site.operation.inputs else range(len(shape))
    turned = {axis % len(shape) for axis in axes}

    def step(axis: int, value: Value, after: list[int | None]) -> Value:
        return site.put("reverse", site.x, after, x=value, axes=[1])

    _along_each(site, [size if axis in turned else -1 for axis, size in enumerate(shape)], step)


def _pad(site: Site) -> None:
    shape, out = shape_of(site.x), shape_of(site.operation.outputs[0])
    if site.literal("mode", "constant") != "constant":
        raise CannotNarrowError
    flat = site.literal("pad")
    flat = [0] * (2 * len(shape) - len(flat)) + flat

    def step(axis: int, value: Value, after: list[int | None]) -> Value:
        pad = [0, 0, flat[2 * axis], flat[2 * axis + 1], 0, 0]
        return site.put("pad", site.x, after, x=value, pad=pad, **site.others("x", "pad"))

    changed = [any(flat[2 * axis : 2 * axis + 2]) for axis in range(len(shape))]
    _along_each(site, [size if pads else -1 for pads, size in zip(changed, out, strict=True)], step)


def _gather(site: Site) -> None:
    if site.literal("batch_dims", 0):
        raise CannotNarrowError
    before, _, after = split = around(shape_of(site.x), site.axis(0))
    indices: Any = site.operation.inputs["indices"]
    count = product(shape_of(indices))
    x, flat = site.fold(site.x, split), site.fold(indices, [count])
    others = site.others("x", "axis", "indices")
    site.done(site.put("gather", site.x, [before, count, after], x=x, indices=flat, axis=1, **others))


def _at_indices(site: Site) -> None:
    """Operations on tensors that differ along one axis only: gather_along_axis and scatter_along_axis."""
    names = [name for name in ("x", "data", "indices", "updates") if name in site.operation.inputs]
    values: list[Any] = [site.operation.inputs[name] for name in names]
    axis = int(site.literal("axis", 0)) % len(shape_of(values[0]))
    parts = [around(shape_of(value), axis) for value in values]
    if any((part[0], part[2]) != (parts[0][0], parts[0][2]) for part in parts):
        raise CannotNarrowError
    folded = {name: site.fold(*pair) for name, *pair in zip(names, values, parts, strict=True)}
    result = site.operation.outputs[0]
    operands = site.others(*names, "axis") | folded
    site.done(site.put(site.operation.type, result, around(shape_of(result), axis), axis=1, **operands))


# ---- moves and products ----


def _move(site: Site) -> None:
    if site.operation.type != "transpose":
        site.done(site.x)
        return
    shape, perm = shape_of(site.x), tuple(site.literal("perm"))
    value = site.x
    for move in narrowed(shape, Transpose(perm)):
        if isinstance(move, Reshape):
            value = site.fold(value, move.shape)
        else:
            after = [shape_of(value)[axis] for axis in move.perm]
            value = site.put("transpose", value, after, x=value, perm=list(move.perm))
    site.done(value)


def _matmul(site: Site) -> None:
    x, y = site.x, site.operation.inputs["y"]
    result = site.operation.outputs[0]
    out = shape_of(result)
    batch = out[:-2]
    tensors = {name: value for name, value in (("x", x), ("y", y)) if len(shape_of(value)) > 2}
    aligned = {name: _aligned(value, len(out))[:-2] for name, value in tensors.items()}
    groups = _groups(batch, list(aligned.values()))
    if len(groups) > MAX_RANK - 2:
        for name, value in tensors.items():
            matrix = shape_of(value)[-2:]
            tensors[name] = _spread(site, value, (*aligned[name], *matrix), (*batch, *matrix))
            aligned[name] = batch
        groups = [list(range(len(batch)))]
    matrices = {name: shape_of(site.operation.inputs[name])[-2:] for name in tensors}
    sides = {
        name: site.fold(value, [*_merged(aligned[name], groups), *matrices[name]])
        for name, value in tensors.items()
    }
    shape = [*(product([batch[axis] for axis in group]) for group in groups), *out[-2:]]
    site.done(site.put("matmul", result, shape, **site.others(*sides), **sides))


def _linear(site: Site) -> None:
    shape, result = shape_of(site.x), site.operation.outputs[0]
    rows = product(shape[:-1])
    x = site.fold(site.x, [rows, shape[-1]])
    site.done(site.put("linear", result, [rows, shape_of(result)[-1]], x=x, **site.others("x")))


def _layer_norm(site: Site) -> None:
    shape = shape_of(site.x)
    axes = sorted(axis % len(shape) for axis in site.literal("axes"))
    count = len(axes)
    if axes != list(range(len(shape) - count, len(shape))) or count >= MAX_RANK:
        raise CannotNarrowError
    inner = [product(shape[:-count]), *shape[-count:]]
    x = site.fold(site.x, inner)
    operands = site.others("x", "axes")
    site.done(site.put("layer_norm", site.x, inner, x=x, axes=list(range(1, count + 1)), **operands))


_RULES: Final[dict[str, Callable[[Site], None]]] = {
    **dict.fromkeys(_OF_ELEMENTS, _elements),
    **dict.fromkeys((*_STEPWISE, "reduce_log_sum", "reduce_sum_square"), _reduce),
    **dict.fromkeys(("reduce_argmax", "reduce_argmin"), _index_of_extreme),
    **dict.fromkeys(("argsort", "cumsum", "softmax"), _same_shape_along_axis),
    **dict.fromkeys(("transpose", "expand_dims", "squeeze"), _move),
    **dict.fromkeys(("cond", "while_loop"), narrow_control_flow),
    **dict.fromkeys(("split", "topk"), _several),
    **dict.fromkeys(("gather_along_axis", "scatter_along_axis"), _at_indices),
    "concat": _concat,
    "gather": _gather,
    "layer_norm": _layer_norm,
    "linear": _linear,
    "matmul": _matmul,
    "pad": _pad,
    "reverse": _reverse,
    "slice_by_index": _slice,
    "slice_by_size": _slice_by_size,
    "stack": _stack,
    "tile": _tile,
}
