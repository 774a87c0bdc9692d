"""Calls of ATen operators with shapes, element types and arguments drawn by hypothesis, by family."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import torch
import torch.nn.functional as F
from hypothesis import strategies as st
from hypothesis.extra.numpy import mutually_broadcastable_shapes
from torch import Tensor, nn

Draw = Callable[[st.SearchStrategy[Any]], Any]
Drawn = tuple[Callable[..., Any], list[Tensor]]
Shape = tuple[int, ...]

FLOAT, INT, LONG, BOOL = torch.float32, torch.int32, torch.int64, torch.bool
NUMBERS: Final = (FLOAT, INT, LONG)


# ---- inputs ----


def one_of(draw: Draw, *choices: Any) -> Any:
    return draw(st.sampled_from(choices))


def count(draw: Draw, low: int, high: int) -> int:
    return int(draw(st.integers(low, high)))


def shape(draw: Draw, low: int = 0, high: int = 4, largest: int = 5) -> Shape:
    return tuple(draw(st.lists(st.integers(1, largest), min_size=low, max_size=high)))


def filled(
    draw: Draw, sizes: Sequence[int], dtype: torch.dtype = FLOAT, low: float = -3, high: float = 3
) -> Tensor:
    """Random numbers; integers include both ends."""
    generator = torch.Generator().manual_seed(count(draw, 0, 1000))
    if dtype.is_floating_point:
        return torch.rand(tuple(sizes), generator=generator, dtype=dtype) * (high - low) + low
    if dtype is BOOL:
        return torch.rand(tuple(sizes), generator=generator) < 0.5
    return torch.randint(int(low), int(high) + 1, tuple(sizes), generator=generator, dtype=dtype)


def axis_of(draw: Draw, sizes: Sequence[int]) -> int:
    """An axis, counted from the front or the back."""
    return count(draw, -len(sizes), len(sizes) - 1)


def axes_of(draw: Draw, sizes: Sequence[int]) -> list[int]:
    axes = draw(st.lists(st.integers(0, len(sizes) - 1), min_size=1, max_size=len(sizes), unique=True))
    return [axis - len(sizes) if draw(st.booleans()) else axis for axis in axes]


def spread(draw: Draw, amount: int = 2) -> list[Shape]:
    """Shapes that broadcast."""
    drawn = draw(mutually_broadcastable_shapes(num_shapes=amount, min_dims=0, max_dims=4, max_side=4))
    return list(drawn.input_shapes)


# ---- each element by itself ----

_ANYWHERE = (
    *(
        "abs",
        "atan",
        "ceil",
        "cos",
        "cosh",
        "deg2rad",
        "erf",
        "erfc",
        "exp",
        "exp2",
        "expm1",
        "floor",
        "frac",
    ),
    *("neg", "positive", "relu", "round", "selu", "sgn", "sigmoid", "sign", "sin", "sinh", "square", "tan"),
    *("tanh", "trunc", "asinh"),
)
_OF_INTEGERS = (
    "abs",
    "neg",
    "sign",
    "square",
    "sqrt",
    "exp",
    "sigmoid",
    "relu",
    "reciprocal",
    "sgn",
    "positive",
)
_RANGES = {
    **dict.fromkeys(("acos", "asin", "atanh"), (-0.9, 0.9)),
    **dict.fromkeys(("log", "log10", "log1p", "log2", "reciprocal", "rsqrt", "sqrt"), (0.1, 4)),
    "acosh": (1.1, 4),
}


def unary(draw: Draw) -> Drawn:
    name = one_of(draw, *_ANYWHERE, *_RANGES)
    low, high = _RANGES.get(name, (-3, 3))
    return getattr(torch, name), [filled(draw, shape(draw), FLOAT, low, high)]


def unary_of_integers(draw: Draw) -> Drawn:
    return getattr(torch, one_of(draw, *_OF_INTEGERS)), [
        filled(draw, shape(draw), one_of(draw, INT, LONG), 1, 5)
    ]


def activation(draw: Draw) -> Drawn:
    a, b = draw(st.floats(0.125, 2, width=16)), draw(st.floats(-1, 1, width=16))
    function = one_of(
        draw,
        *(
            F.gelu,
            F.silu,
            F.mish,
            F.hardswish,
            F.hardsigmoid,
            F.relu6,
            F.softsign,
            F.logsigmoid,
            F.tanhshrink,
        ),
        lambda x: F.gelu(x, approximate="tanh"),
        lambda x: F.leaky_relu(x, a),
        lambda x: F.elu(x, a),
        lambda x: F.celu(x, a),
        lambda x: F.softplus(x, a),
        lambda x: F.hardtanh(x, b, b + a),
        lambda x: F.threshold(x, b, a),
        lambda x: F.hardshrink(x, a),
        lambda x: F.softshrink(x, a),
        lambda x: x.clamp(b, b + a),
        lambda x: x.clamp(max=b),
        lambda x: x.clamp(min=b),
        lambda x: F.rrelu(x, 0.1, a),
    )
    return function, [filled(draw, shape(draw))]


def along_an_axis(draw: Draw) -> Drawn:
    sizes = shape(draw, 1)
    axis = axis_of(draw, sizes)
    function = one_of(
        draw,
        lambda x: x.softmax(axis),
        lambda x: x.log_softmax(axis),
        lambda x: F.softmin(x, axis),
        lambda x: x.cumsum(axis),
        lambda x: x.flip(axis),
        lambda x: x.sort(axis)[0],
        lambda x: x.sort(axis, descending=True)[0],
        lambda x: x.argsort(axis),
        lambda x: x.logsumexp(axis),
        lambda x: F.normalize(x, dim=axis),
    )
    return function, [filled(draw, sizes)]


def cast(draw: Draw) -> Drawn:
    dtype = one_of(draw, FLOAT, INT, LONG, BOOL)
    x = filled(draw, shape(draw), one_of(draw, FLOAT, INT, LONG, BOOL))
    return one_of(draw, lambda x: x.to(dtype), lambda x: x.to(dtype) * 2, lambda x: x.type(dtype)), [x]


# ---- two tensors ----


def arithmetic(draw: Draw) -> Drawn:
    first, second = spread(draw)
    dtypes = one_of(draw, *((a, b) for a in NUMBERS for b in NUMBERS))
    alpha = one_of(draw, 1, 2, 3)
    function = one_of(
        draw,
        *(
            torch.mul,
            torch.maximum,
            torch.minimum,
            torch.div,
            torch.floor_divide,
            torch.remainder,
            torch.fmod,
        ),
        *(torch.eq, torch.ne, torch.lt, torch.le, torch.gt, torch.ge, torch.fmax, torch.fmin),
        lambda x, y: torch.add(x, y, alpha=alpha),
        lambda x, y: torch.sub(x, y, alpha=alpha),
        lambda x, y: torch.div(x, y, rounding_mode="floor"),
        lambda x, y: torch.div(x, y, rounding_mode="trunc"),
    )
    return function, [filled(draw, first, dtypes[0], -5, 5), filled(draw, second, dtypes[1], 1, 4)]


def with_a_number(draw: Draw) -> Drawn:
    number = one_of(draw, 1, 2, -3, 0.5, -1.5, True)
    x = filled(draw, shape(draw), one_of(draw, *NUMBERS), 1, 6)
    function = one_of(
        draw,
        *(lambda x: x + number, lambda x: x - number, lambda x: number - x, lambda x: x * number),
        *(lambda x: x / number, lambda x: number / x, lambda x: x // number, lambda x: x % number),
        *(lambda x: x > number, lambda x: x == number, lambda x: x != number, lambda x: x <= number),
        lambda x: torch.fmod(x, number),
        lambda x: torch.where(x > 2, x, number),
        lambda x: x.masked_fill(x > 2, number),
    )
    if isinstance(number, bool) or number == 1:
        function = one_of(draw, lambda x: x + number, lambda x: x * number)
    return function, [x]


def power(draw: Draw) -> Drawn:
    first, second = spread(draw)
    exponent = one_of(draw, 0, 1, 2, 3, -1, 0.5, -0.5, 2.5)
    x, y = filled(draw, first, FLOAT, 0.2, 3), filled(draw, second, FLOAT, -2, 2)
    function, inputs = one_of(
        draw,
        (torch.pow, [x, y]),
        (lambda x: x**exponent, [x]),
        (lambda x: 2.0**x, [x]),
        (torch.atan2, [x - 1, y]),
        (lambda x: x**2, [filled(draw, first, INT)]),
    )
    return function, inputs


def logic(draw: Draw) -> Drawn:
    first, second = spread(draw)
    function = one_of(draw, torch.logical_and, torch.logical_or, torch.logical_xor)
    if draw(st.booleans()):
        dtype = one_of(draw, BOOL, FLOAT, INT)
        return function, [filled(draw, first, dtype, 0, 1), filled(draw, second, dtype, 0, 1)]
    function = one_of(draw, torch.bitwise_and, torch.bitwise_or, torch.bitwise_xor)
    return function, [filled(draw, first, BOOL), filled(draw, second, BOOL)]


def chosen(draw: Draw) -> Drawn:
    where, first, second = spread(draw, 3)
    dtypes = one_of(draw, (FLOAT, FLOAT), (INT, INT), (FLOAT, INT), (LONG, FLOAT))
    function = one_of(draw, torch.where, lambda w, x, y: torch.lerp(x.float(), y.float(), w.float()))
    return function, [
        filled(draw, where, BOOL),
        filled(draw, first, dtypes[0]),
        filled(draw, second, dtypes[1]),
    ]


# ---- reductions ----


def reduction(draw: Draw) -> Drawn:
    sizes = shape(draw, 1)
    axes, keep = axes_of(draw, sizes), draw(st.booleans())
    function = one_of(
        draw,
        *(torch.sum, torch.mean, torch.amax, torch.amin, torch.logsumexp),
        lambda x, axes, keepdim: torch.linalg.vector_norm(x, one_of(draw, 2), axes, keepdim),
        lambda x, axes, keepdim: torch.linalg.vector_norm(x, 1, axes, keepdim),
        lambda x, axes, keepdim: torch.linalg.vector_norm(x, float("inf"), axes, keepdim),
    )
    return lambda x: function(x, axes, keepdim=keep), [filled(draw, sizes)]


def reduction_of_integers(draw: Draw) -> Drawn:
    sizes = shape(draw, 1)
    axes, keep = axes_of(draw, sizes), draw(st.booleans())
    dtype = one_of(draw, INT, LONG, BOOL)
    function = one_of(draw, torch.sum, torch.any, torch.all)
    if dtype is not BOOL:
        function = one_of(draw, torch.sum, torch.amax, torch.amin)
    return lambda x: function(x, axes, keepdim=keep), [filled(draw, sizes, dtype)]


def reduction_of_one_axis(draw: Draw) -> Drawn:
    sizes = shape(draw, 1)
    axis, keep = axis_of(draw, sizes), draw(st.booleans())
    x = torch.randperm(max(1, torch.Size(sizes).numel())).reshape(sizes).to(one_of(draw, FLOAT, INT))
    function = one_of(
        draw,
        lambda x: x.argmax(axis, keep),
        lambda x: x.argmin(axis, keep),
        lambda x: x.max(axis, keep),
        lambda x: x.min(axis, keep),
        lambda x: (x / 10).prod(axis, keep),
        lambda x: x.argmax(),
        lambda x: x.max(),
        lambda x: x.min(),
        lambda x: x.sum(),
    )
    return function, [x]


def reduction_of_all(draw: Draw) -> Drawn:
    dtype = one_of(draw, FLOAT, INT, BOOL)
    names = {
        FLOAT: ("sum", "mean", "max", "min", "prod", "argmax", "argmin", "amax", "norm", "any", "all"),
        INT: ("sum", "max", "min", "amin", "any", "all"),
        BOOL: ("sum", "any", "all"),
    }
    name = one_of(draw, *names[dtype])
    return lambda x: getattr(x, name)(), [filled(draw, shape(draw, 1, 3), dtype)]


def spread_of_values(draw: Draw) -> Drawn:
    sizes = tuple(size + 1 for size in shape(draw, 1))
    axes, keep, correction = axes_of(draw, sizes), draw(st.booleans()), one_of(draw, 0, 1)
    function = one_of(draw, torch.var, torch.std, torch.var_mean)
    return lambda x: function(x, axes, correction=correction, keepdim=keep), [filled(draw, sizes)]


# ---- moves of elements ----


def moved(draw: Draw) -> Drawn:
    sizes = shape(draw, 1)
    order, axis, other = draw(st.permutations(range(len(sizes)))), axis_of(draw, sizes), axis_of(draw, sizes)
    to = axis_of(draw, sizes)
    new = count(draw, -len(sizes) - 1, len(sizes))
    function = one_of(
        draw,
        lambda x: x.permute(order),
        lambda x: x.transpose(axis, other),
        lambda x: x.movedim(axis, to),
        lambda x: x.unsqueeze(new),
        lambda x: x.squeeze(),
        lambda x: x.squeeze(axis),
        lambda x: x.flatten(),
        lambda x: x.reshape(-1, x.shape[axis]),
        lambda x: x.unflatten(axis, (x.shape[axis], 1)),
        lambda x: x.roll(2, axis),
        lambda x: x.roll((1, -1), (axis, other)),
        lambda x: x.flip(tuple(order)),
        lambda x: x.unbind(axis),
        lambda x: x.chunk(2, axis),
        lambda x: x.tensor_split(2, axis),
        lambda x: x.split(2, axis),
        lambda x: x.select(axis, -1),
    )
    return function, [filled(draw, sizes, one_of(draw, FLOAT, INT, BOOL))]


def of_matrices(draw: Draw) -> Drawn:
    x, y = filled(draw, (3, 4)), filled(draw, (3, 4), one_of(draw, FLOAT, INT))
    function = one_of(
        draw,
        *(lambda x, y: x.t(), lambda x, y: x.mT, lambda x, y: x.T @ y.float(), lambda x, y: x.adjoint()),
        *(lambda x, y: x.type_as(y), lambda x, y: x.view_as(y), lambda x, y: x[:1].expand_as(y)),
        *(
            lambda x, y: torch.hstack([x, x]),
            lambda x, y: torch.vstack([x, x]),
            lambda x, y: torch.dstack([x, x]),
        ),
        *(lambda x, y: torch.column_stack([x, x]), lambda x, y: torch.kron(x, x[:2, :2])),
        *(lambda x, y: x.as_strided((2, 3), (1, 2)), lambda x, y: x.diag(), lambda x, y: x[0].diag_embed()),
        *(lambda x, y: x.swapaxes(0, 1), lambda x, y: torch.rot90(x), lambda x, y: x.trace()),
        *(
            lambda x, y: torch.cross(x[:, :3], x[:, 1:], 1),
            lambda x, y: torch.diff(x),
            lambda x, y: x.count_nonzero(),
        ),
        *(lambda x, y: torch.dot(x[0], x[1]), lambda x, y: x @ x[0], lambda x, y: torch.outer(x[0], x[1])),
        *(
            lambda x, y: torch.addcmul(x, x, y.float(), value=2),
            lambda x, y: torch.addcdiv(x, x, y.float() + 9),
        ),
        *(
            lambda x, y: x.nan_to_num(),
            lambda x, y: torch.heaviside(x, x[0]),
            lambda x, y: torch.hypot(x, y.float()),
        ),
        *(
            lambda x, y: torch.meshgrid(x[0], x[1], indexing="ij"),
            lambda x, y: torch.cartesian_prod(x[0], x[1]),
        ),
        *(
            lambda x, y: torch.block_diag(x, x),
            lambda x, y: torch.logaddexp(x, y.float()),
            lambda x, y: x.logit(0.1),
        ),
        *(lambda x, y: torch.copysign(x, y), lambda x, y: torch.ldexp(x, y), lambda x, y: torch.sinc(x)),
        *(
            lambda x, y: torch.xlogy(x, x.abs() + 1),
            lambda x, y: x.square().mean().sqrt(),
            lambda x, y: torch.rsub(x, 2),
        ),
    )
    return function, [x, y]


def repeated(draw: Draw) -> Drawn:
    sizes = shape(draw, 1, 3)
    more = shape(draw, 0, 1, 3)
    times = [*more, *(one_of(draw, 1, 2, 3) for _ in sizes)]
    wide = [*more, *(3 if size == 1 else size for size in sizes)]
    axis = axis_of(draw, sizes)
    function = one_of(
        draw,
        lambda x: x.repeat(times),
        lambda x: x.tile(times[-1:]),
        lambda x: x.expand(wide),
        lambda x: x.repeat_interleave(2, axis),
    )
    return function, [filled(draw, sizes, one_of(draw, FLOAT, INT, BOOL))]


def sliced(draw: Draw) -> Drawn:
    sizes = shape(draw, 1)
    index: list[Any] = []
    for size in sizes:
        start, stop = count(draw, -size, size - 1), one_of(draw, None, size, -1 if size > 1 else None)
        part = slice(start, stop, one_of(draw, 1, 2))
        if not len(range(*part.indices(size))):
            part = slice(start, None)
        index += [*one_of(draw, [], [None]), one_of(draw, slice(None), part, count(draw, -size, size - 1))]
    if draw(st.booleans()):
        index = [*index[:1], Ellipsis]
    return lambda x: x[tuple(index)], [filled(draw, sizes, one_of(draw, FLOAT, INT, BOOL))]


def joined(draw: Draw) -> Drawn:
    sizes = shape(draw, 1, 3)
    axis = axis_of(draw, sizes)
    other = list(sizes)
    if draw(st.booleans()):
        other[axis] = count(draw, 1, 3)
        function = lambda x, y: torch.cat([x, y, x], axis)  # noqa: E731
    else:
        at = count(draw, -len(sizes) - 1, len(sizes))
        function = lambda x, y: torch.stack([x, y], at)  # noqa: E731
    dtypes = one_of(draw, (FLOAT, FLOAT), (INT, INT), (BOOL, BOOL), (FLOAT, INT))
    return function, [filled(draw, sizes, dtypes[0]), filled(draw, other, dtypes[1])]


def padded(draw: Draw) -> Drawn:
    mode = one_of(draw, "constant", "reflect", "replicate")
    if mode == "constant":
        sizes = shape(draw, 1)
        amounts = [count(draw, 0, 2) for _ in range(2 * count(draw, 1, len(sizes)))]
        value = one_of(draw, 0.0, 1.5, -2.0)
        return lambda x: F.pad(x, amounts, mode, value), [filled(draw, sizes)]
    axes = count(draw, 1, 2)
    sizes = (count(draw, 1, 2), count(draw, 1, 2), *(count(draw, 3, 5) for _ in range(axes)))
    amounts = [count(draw, 0, 2) for _ in range(2 * axes)]
    return lambda x: F.pad(x, amounts, mode), [filled(draw, sizes)]


def triangle(draw: Draw) -> Drawn:
    sizes, k = shape(draw, 2), count(draw, -2, 2)
    square = (*sizes[:-2], 4, 4)
    function = one_of(draw, lambda x: x.tril(k), lambda x: x.triu(k), lambda x: x.diagonal(k, -2, -1))
    return function, [filled(draw, square if k else (*square[:-2], 3, 4), one_of(draw, FLOAT, INT))]


def windows(draw: Draw) -> Drawn:
    sizes = (*shape(draw, 0, 2), 6)
    size, step = count(draw, 1, 4), count(draw, 1, 3)
    function = one_of(
        draw, lambda x: x.unfold(-1, size, step), lambda x: x.unfold(len(sizes) - 1, size, step)
    )
    return function, [filled(draw, sizes)]


def shuffled(draw: Draw) -> Drawn:
    factor, batch, channels = one_of(draw, 2, 3), count(draw, 1, 2), count(draw, 1, 3)
    function, sizes = one_of(
        draw,
        (lambda x: F.pixel_shuffle(x, factor), (batch, channels * factor**2, 2, 3)),
        (lambda x: F.pixel_unshuffle(x, factor), (batch, channels, 2 * factor, 3 * factor)),
        (lambda x: F.channel_shuffle(x, factor), (batch, channels * factor, 2, 3)),
        (lambda x: F.fold(F.unfold(x, 2, stride=2), (4, 6), 2, stride=2), (batch, channels, 4, 6)),
        (lambda x: F.unfold(x, (2, 3), padding=1, stride=factor), (batch, channels, 5, 6)),
    )
    return function, [filled(draw, sizes)]


# ---- by index ----


def gathered(draw: Draw) -> Drawn:
    sizes = shape(draw, 1, 3)
    axis = axis_of(draw, sizes)
    where = [count(draw, 1, size) for size in sizes]
    where[axis] = count(draw, 1, 4)
    largest = sizes[axis] - 1
    x = filled(draw, sizes, one_of(draw, FLOAT, INT))
    rows = filled(draw, (count(draw, 1, 4),), LONG, 0, largest)
    function, indices = one_of(
        draw,
        (lambda x, i: x.gather(axis, i), filled(draw, where, LONG, 0, largest)),
        (lambda x, i: x.index_select(axis, i), rows),
    )
    return function, [x, indices]


def indexed(draw: Draw) -> Drawn:
    sizes = shape(draw, 2, 4)
    across = spread(draw)
    first = filled(draw, across[0], LONG, -sizes[0], sizes[0] - 1)
    second = filled(draw, across[1], LONG, 0, sizes[1] - 1)
    function, indices = one_of(
        draw,
        (lambda x, i: x[i], [first]),
        (lambda x, i: x[:, i], [filled(draw, across[1], LONG, -sizes[1], sizes[1] - 1)]),
        (lambda x, i, j: x[i, j], [torch.atleast_1d(first), torch.atleast_1d(second)]),
        (lambda x, i: x[..., i], [filled(draw, across[0], LONG, 0, sizes[-1] - 1)]),
        (
            lambda x, i: F.embedding(i, x.reshape(sizes[0], -1)),
            [filled(draw, across[0], LONG, 0, sizes[0] - 1)],
        ),
    )
    return function, [filled(draw, sizes, FLOAT), *indices]


def written(draw: Draw) -> Drawn:
    sizes = shape(draw, 1, 3)
    axis = axis_of(draw, sizes)
    where = [count(draw, 1, size) for size in sizes]
    indices = torch.argsort(filled(draw, sizes), axis)[tuple(slice(size) for size in where)]
    x, source = filled(draw, sizes), filled(draw, where)
    row = filled(draw, (), LONG, 0, sizes[axis] - 1).reshape(1)
    rows = filled(draw, [1 if i == axis % len(sizes) else size for i, size in enumerate(sizes)])
    function, inputs = one_of(
        draw,
        (lambda x, i, y: x.scatter(axis, i, y), [x, indices, source]),
        (lambda x, i: x.scatter(axis, i, 2.5), [x, indices]),
        (lambda x, i, y: x.scatter_add(axis, i, y), [x, indices, source]),
        (lambda x, i, y: x.scatter_reduce(axis, i, y, "amax"), [x, indices, source]),
        (lambda x, i, y: x.index_add(axis, i, y), [x, row, rows]),
        (lambda x, i, y: x.index_copy(axis, i, y), [x, row, rows]),
        (lambda x, i: x.index_fill(axis, i, 1.5), [x, row]),
        (lambda x, i, y: x.index_put((i,), y[0]), [x, filled(draw, (1,), LONG, 0, sizes[0] - 1), x[:1]]),
        (lambda x, y: torch.slice_scatter(x, y, axis, 0, 1), [x, rows]),
        (lambda x, y: torch.select_scatter(x, y.select(axis, 0), axis, 0), [x, rows]),
    )
    return function, inputs


def ranked(draw: Draw) -> Drawn:
    sizes = shape(draw, 1, 3)
    axis = axis_of(draw, sizes)
    k, largest = count(draw, 1, sizes[axis]), draw(st.booleans())
    x = torch.randperm(torch.Size(sizes).numel()).reshape(sizes).to(one_of(draw, FLOAT, INT))
    edges = torch.tensor([0.0, 2.0, 5.0])
    function = one_of(
        draw,
        lambda x: x.topk(k, axis, largest),
        lambda x: x.sort(axis, descending=largest),
        lambda x: torch.bucketize(x.float(), edges, right=largest),
        lambda x: F.one_hot(x.long() % 4, 5),
    )
    return function, [x]


# ---- layers ----


def convolution(draw: Draw) -> Drawn:
    axes = count(draw, 1, 3)
    groups = one_of(draw, 1, 1, 2)
    inputs, outputs = groups * count(draw, 1, 2), groups * count(draw, 1, 2)
    kernel = [count(draw, 1, 3) for _ in range(axes)]
    stride = [count(draw, 1, 2) for _ in range(axes)]
    dilation = [count(draw, 1, 2) for _ in range(axes)]
    padding: Any = [count(draw, 0, 2) for _ in range(axes)]
    if draw(st.booleans()):
        padding = one_of(draw, "same", "valid")
        stride = [1] * axes if padding == "same" else stride
    x = filled(draw, (count(draw, 1, 2), inputs, *(count(draw, 5, 7) for _ in range(axes))))
    weight = filled(draw, (outputs, inputs // groups, *kernel))
    bias = filled(draw, (outputs,)) if draw(st.booleans()) else None
    function: Any = (F.conv1d, F.conv2d, F.conv3d)[axes - 1]
    return lambda x: function(x, weight, bias, stride, padding, dilation, groups), [x]


def transposed_convolution(draw: Draw) -> Drawn:
    axes = count(draw, 1, 3)
    groups = one_of(draw, 1, 1, 2)
    inputs, outputs = groups * count(draw, 1, 2), groups * count(draw, 1, 2)
    kernel = [count(draw, 1, 3) for _ in range(axes)]
    stride = [count(draw, 1, 3) for _ in range(axes)]
    dilation = [count(draw, 1, 2) for _ in range(axes)]
    padding = [count(draw, 0, min(1, size - 1)) for size in kernel]
    more = [count(draw, 0, max(a, b) - 1) for a, b in zip(stride, dilation, strict=True)]
    x = filled(draw, (count(draw, 1, 2), inputs, *(count(draw, 2, 4) for _ in range(axes))))
    weight = filled(draw, (inputs, outputs // groups, *kernel))
    bias = filled(draw, (outputs,)) if draw(st.booleans()) else None
    function: Any = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[axes - 1]
    return lambda x: function(x, weight, bias, stride, padding, more, groups, dilation), [x]


def pooled(draw: Draw) -> Drawn:
    axes = count(draw, 1, 3)
    kernel = [count(draw, 2, 3) for _ in range(axes)]
    stride = one_of(draw, None, [count(draw, 1, 2) for _ in range(axes)])
    padding = [count(draw, 0, 1) for _ in range(axes)]
    inside = draw(st.booleans())
    ceil, dilation = draw(st.booleans()), [count(draw, 1, 2) for _ in range(axes)]
    x = filled(draw, (count(draw, 1, 2), count(draw, 1, 2), *(count(draw, 5, 7) for _ in range(axes))))
    average: Any = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)[axes - 1]
    largest: Any = (F.max_pool1d, F.max_pool2d, F.max_pool3d)[axes - 1]
    function = one_of(
        draw,
        lambda x: average(x, kernel, stride, padding, ceil, inside),
        lambda x: largest(x, kernel, stride, padding, dilation, ceil),
    )
    return function, [x]


def adaptively_pooled(draw: Draw) -> Drawn:
    axes = count(draw, 1, 3)
    sizes = [count(draw, 2, 7) for _ in range(axes)]
    wanted = [count(draw, 1, size) for size in sizes]
    kinds: Any = (
        (F.adaptive_avg_pool1d, F.adaptive_avg_pool2d, F.adaptive_avg_pool3d),
        (F.adaptive_max_pool1d, F.adaptive_max_pool2d, F.adaptive_max_pool3d),
    )
    function = one_of(draw, *kinds)[axes - 1]
    return lambda x: function(x, wanted), [filled(draw, (1, 2, *sizes))]


def resampled(draw: Draw) -> Drawn:
    modes = {1: ["nearest", "linear"], 2: ["nearest", "bilinear", "bicubic"], 3: ["nearest", "trilinear"]}
    axes = count(draw, 1, 3)
    mode = one_of(draw, *modes[axes], *(["nearest-exact"] if axes < 3 else []))
    sizes = [count(draw, 2, 4) for _ in range(axes)]
    how: dict[str, Any] = {"size": [size * one_of(draw, 1, 2, 3) for size in sizes]}
    if draw(st.booleans()):
        how = {"scale_factor": [float(one_of(draw, 1, 2, 3)) for _ in sizes]}
    if "nearest" not in mode:
        how["align_corners"] = draw(st.booleans())
    return lambda x: F.interpolate(x, mode=mode, **how), [filled(draw, (count(draw, 1, 2), 2, *sizes))]


def sampled(draw: Draw) -> Drawn:
    mode, padding = one_of(draw, "bilinear", "nearest"), one_of(draw, "zeros", "border", "reflection")
    corners = draw(st.booleans())
    x, grid = filled(draw, (2, 3, 4, 5)), filled(draw, (2, 3, 2, 2), FLOAT, -1.3, 1.3)
    return lambda x, grid: F.grid_sample(x, grid, mode, padding, corners), [x, grid]


def normalized(draw: Draw) -> Drawn:
    sizes = (count(draw, 1, 3), 4, *(count(draw, 2, 4) for _ in range(count(draw, 1, 3))))
    last = sizes[-count(draw, 1, 2) :]
    affine = draw(st.booleans())
    gamma, beta = (filled(draw, last) if affine else None for _ in range(2))
    by_channel, shift = (filled(draw, (4,)) if affine else None for _ in range(2))
    mean, variance = filled(draw, (4,)), filled(draw, (4,), FLOAT, 0.5, 2)
    eps = one_of(draw, 1e-5, 1e-3, 0.1)
    function = one_of(
        draw,
        lambda x: F.layer_norm(x, last, gamma, beta, eps),
        lambda x: F.rms_norm(x, last, gamma, eps),
        lambda x: F.group_norm(x, 2, by_channel, shift, eps),
        lambda x: F.instance_norm(x, None, None, by_channel, shift, True, 0.1, eps),
        lambda x: F.batch_norm(x, mean, variance, by_channel, shift, False, 0.1, eps),
        lambda x: F.local_response_norm(x, 3, 0.1, 0.6, 1.5),
    )
    return function, [filled(draw, sizes)]


def products(draw: Draw) -> Drawn:
    m, k, n = (count(draw, 1, 4) for _ in range(3))
    first, second = spread(draw)
    first, second = first[-2:], second[-2:]
    alpha, beta = one_of(draw, 1, 2.5), one_of(draw, 1, 0, -0.5)
    function, inputs = one_of(
        draw,
        (torch.matmul, [(*first, m, k), (*second, k, n)]),
        (torch.matmul, [(k,), (*second, k, n)]),
        (torch.matmul, [(*first, m, k), (k,)]),
        (torch.matmul, [(k,), (k,)]),
        (torch.bmm, [(2, m, k), (2, k, n)]),
        (torch.outer, [(m,), (n,)]),
        (lambda a, x, y: torch.addmm(a, x, y, alpha=alpha, beta=beta), [(n,), (m, k), (k, n)]),
        (lambda a, x, y: torch.baddbmm(a, x, y, alpha=alpha, beta=beta), [(1, m, n), (2, m, k), (2, k, n)]),
        (lambda x, y: F.linear(x, y), [(*first, k), (n, k)]),
        (lambda x, y, b: F.linear(x, y, b), [(*first, m, k), (n, k), (n,)]),
        (lambda x, y, z: F.bilinear(x, y, z), [(m, k), (m, n), (2, k, n)]),
    )
    return function, [filled(draw, sizes) for sizes in inputs]


def einsum(draw: Draw) -> Drawn:
    letters = dict.fromkeys("abcdef", 0)
    for letter in letters:
        letters[letter] = count(draw, 1, 3)
    equation = one_of(
        draw,
        *("ab,bc->ac", "abc,abd->acd", "abcd,aecd->abe", "abc,dc->abd", "ab,ab->a", "a,b->ba", "abc->cab"),
        *(
            "abcd,abed->abce",
            "ab,ac->abc",
            "abc,cd->bad",
            "abcd,ce->eabd",
            "ab->",
            "abc,b->ac",
            "...ab,bc->...ac",
        ),
    )
    operands = equation.split("->")[0].replace("...", "ef").split(",")
    inputs = [filled(draw, [letters[letter] for letter in operand]) for operand in operands]
    return lambda *tensors: torch.einsum(equation, *tensors), inputs


def attention(draw: Draw) -> Drawn:
    batch, heads, length, keys, size = (count(draw, 1, 3) for _ in range(5))
    causal = draw(st.booleans())
    scale = one_of(draw, None, 0.5)
    mask = None
    if not causal:
        allowed = torch.ones(length, keys).tril(1).bool()
        mask = one_of(draw, None, allowed, filled(draw, (batch, 1, length, keys)))
    q, k, v = ((batch, heads, steps, size) for steps in (length, keys, keys))
    return (
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, mask, 0.0, causal, scale=scale),
        [filled(draw, sizes) for sizes in (q, k, v)],
    )


def recurrent(draw: Draw) -> Drawn:
    kind = one_of(draw, nn.LSTM, nn.GRU, nn.RNN)
    torch.manual_seed(count(draw, 0, 100))
    layer = kind(
        3,
        count(draw, 1, 4),
        num_layers=count(draw, 1, 2),
        bias=draw(st.booleans()),
        bidirectional=draw(st.booleans()),
        batch_first=draw(st.booleans()),
    ).eval()
    x = filled(draw, (count(draw, 2, 3), count(draw, 2, 4), 3))
    return lambda x: layer(x)[0], [x]


def created(draw: Draw) -> Drawn:
    start, step = count(draw, -2, 2), one_of(draw, 1, 2, 0.5)
    number = one_of(draw, 0, 2, 1.5)
    dtype = one_of(draw, FLOAT, INT)
    function = one_of(
        draw,
        lambda x: torch.arange(start, start + 4, step) + x.sum(),
        lambda x: torch.full_like(x, number, dtype=dtype) + x,
        lambda x: torch.zeros_like(x) + x.new_ones(x.shape),
        lambda x: torch.linspace(start, 3, 5) * x.sum(),
        lambda x: torch.eye(3, 4) + x.sum(),
        lambda x: torch.arange(x.shape[0]) * x.reshape(x.shape[0], -1)[:, 0],
    )
    return function, [filled(draw, shape(draw, 1))]


def distances(draw: Draw) -> Drawn:
    p = one_of(draw, 1.0, 2.0, float("inf"))
    x, y = filled(draw, (2, 3, 4)), filled(draw, (2, 5, 4))
    function, inputs = one_of(
        draw,
        (lambda x, y: torch.cdist(x, y, p), [x, y]),
        (lambda x: F.pdist(x[0], p), [x]),
        (lambda x, y: F.cosine_similarity(x[:, :3], y[:, :3], -1), [x, y]),
        (lambda x, y: F.pairwise_distance(x[:, :3], y[:, :3], p), [x, y]),
    )
    return function, inputs


FAMILIES: Final[dict[str, Callable[[Draw], Drawn]]] = {
    function.__name__: function
    for function in (
        *(unary, unary_of_integers, activation, along_an_axis, cast, arithmetic, with_a_number, power, logic),
        *(
            chosen,
            reduction,
            reduction_of_integers,
            reduction_of_one_axis,
            reduction_of_all,
            spread_of_values,
            moved,
            of_matrices,
            repeated,
        ),
        *(sliced, joined, padded, triangle, windows, shuffled, gathered, indexed, written, ranked),
        *(convolution, transposed_convolution, pooled, adaptively_pooled, resampled, sampled, normalized),
        *(products, einsum, attention, recurrent, created, distances),
    )
}
