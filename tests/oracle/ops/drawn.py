"""Calls of ops with operands of drawn shapes, for all ops whose values coremltools infers from constants."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mlpress.mil import Opset
from tests.torch.ops.example import Example

Array = np.ndarray[Any, Any]
Arguments = dict[str, Any]
Make = Callable[[st.DataObject], Arguments]

seeds = st.integers(0, 2**16)
shapes = arrays.array_shapes(min_dims=1, max_dims=4, max_side=4)


def floats(data: st.DataObject, shape: tuple[int, ...], low: float = -3, high: float = 3) -> Array:
    return np.random.default_rng(data.draw(seeds)).uniform(low, high, shape).astype(np.float32)


def integers(data: st.DataObject, shape: tuple[int, ...], low: int = -9, high: int = 9) -> Array:
    return np.random.default_rng(data.draw(seeds)).integers(low, high, shape, np.int32, endpoint=True)


def distinct(data: st.DataObject, shape: tuple[int, ...]) -> Array:
    """Numbers without ties, whose order each library may choose."""
    return (
        np.random.default_rng(data.draw(seeds)).permutation(np.prod(shape)).reshape(shape).astype(np.float32)
    )


def numbers(data: st.DataObject, shape: tuple[int, ...]) -> Array:
    return data.draw(st.sampled_from([floats, integers]))(data, shape)


def axis(data: st.DataObject, x: Array) -> int:
    return data.draw(st.integers(-x.ndim, x.ndim - 1))


def axes(data: st.DataObject, rank: int, least: int = 0) -> list[int]:
    chosen = data.draw(st.lists(st.integers(0, rank - 1), min_size=least, max_size=rank, unique=True))
    return [place - rank * data.draw(st.booleans()) for place in chosen]


# ---- elementwise ----


def unary(low: float = -3, high: float = 3, **scalars: tuple[float, float]) -> Make:
    """One operand from `low` to `high`, and constants between bounds."""

    def make(data: st.DataObject) -> Arguments:
        x = {"x": floats(data, data.draw(shapes), low, high)}
        return x | {name: np.float32(data.draw(st.floats(*bounds))) for name, bounds in scalars.items()}

    return make


def per_channel(*names: str, ranks: tuple[int, int] = (3, 5)) -> Make:
    def make(data: st.DataObject) -> Arguments:
        x = floats(data, data.draw(arrays.array_shapes(min_dims=ranks[0], max_dims=ranks[1], max_side=4)))
        return {"x": x} | {name: floats(data, x.shape[1:2], 0.1, 1) for name in names}

    return make


def pair(kinds: tuple[Any, ...], low: int = -9, least: int = -9) -> Make:
    """Two operands that broadcast: one from `low` on, one from `least` on, without zeros."""

    def make(data: st.DataObject) -> Arguments:
        both = arrays.mutually_broadcastable_shapes(num_shapes=2, min_dims=1, max_dims=4, max_side=3)
        kind, found = data.draw(st.sampled_from(kinds)), data.draw(both).input_shapes
        x, y = (integers(data, shape, first) for shape, first in zip(found, (low, least), strict=True))
        y[y == 0] = 2
        return {"x": x.astype(kind), "y": y.astype(kind)}

    return make


def booleans(data: st.DataObject) -> Arguments:
    given = pair((np.int32,))(data)
    return {name: x > 0 for name, x in given.items()}


def cast(data: st.DataObject) -> Arguments:
    x = numbers(data, data.draw(shapes))
    return {"x": x, "dtype": data.draw(st.sampled_from(["fp16", "fp32", "int32", "bool"]))}


def select(data: st.DataObject) -> Arguments:
    shape = data.draw(shapes)
    wide = tuple(size if data.draw(st.booleans()) else 1 for size in shape)
    return {"cond": integers(data, wide) > 0, "a": floats(data, shape), "b": floats(data, shape)}


def quantized(data: st.DataObject) -> tuple[Array, Arguments]:
    x = floats(data, data.draw(shapes), -20, 20)
    place = axis(data, x)
    zero = integers(data, (x.shape[place],), -20, 20).astype(np.int8)
    return x, {"scale": floats(data, zero.shape, 0.1, 1), "zero_point": zero, "axis": place}


def quantize(data: st.DataObject) -> Arguments:
    x, grid = quantized(data)
    return {"input": x, **grid, "output_dtype": "int8"}


def dequantize(data: st.DataObject) -> Arguments:
    x, grid = quantized(data)
    return {"input": np.rint(x).astype(np.int8), **grid}


# ---- along axes ----


def along(x: Callable[[st.DataObject, tuple[int, ...]], Array] = floats, **flags: Any) -> Make:
    def make(data: st.DataObject) -> Arguments:
        operand = x(data, data.draw(shapes))
        return {
            "x": operand,
            "axis": axis(data, operand),
            **{name: data.draw(values) for name, values in flags.items()},
        }

    return make


def reduced(data: st.DataObject) -> Arguments:
    shape = data.draw(arrays.array_shapes(max_dims=4, max_side=3))
    x = floats(data, shape, 0.5, 2) if data.draw(st.booleans()) else integers(data, shape, 1, 3)
    return {"x": x, "axes": axes(data, x.ndim, 1), "keep_dims": data.draw(st.booleans())}


def cumsum(data: st.DataObject) -> Arguments:
    given = along(integers)(data)
    return given | {"axis": given["axis"] % given["x"].ndim}


def topk(data: st.DataObject) -> Arguments:
    given = along(distinct, ascending=st.booleans())(data)
    return given | {"k": data.draw(st.integers(1, given["x"].shape[given["axis"]]))}


def joined(data: st.DataObject) -> Arguments:
    x = numbers(data, data.draw(shapes))
    return {"values": (x, x + x.dtype.type(1)), "axis": axis(data, x)}


def split(data: st.DataObject) -> Arguments:
    x = numbers(data, data.draw(shapes))
    place = axis(data, x)
    first = data.draw(st.integers(0, x.shape[place]))
    return {"x": x, "num_splits": 2, "split_sizes": [first, x.shape[place] - first], "axis": place}


def gather(data: st.DataObject) -> Arguments:
    x = numbers(data, data.draw(shapes))
    place = axis(data, x)
    last = x.shape[place] - 1
    return {"x": x, "indices": integers(data, data.draw(shapes), 0, last), "axis": place}


def gather_along_axis(data: st.DataObject) -> Arguments:
    x = numbers(data, data.draw(shapes))
    place = axis(data, x)
    shape = list(x.shape)
    shape[place] = data.draw(st.integers(1, 4))
    return {"x": x, "indices": integers(data, tuple(shape), 0, x.shape[place] - 1), "axis": place}


def layer_norm(data: st.DataObject) -> Arguments:
    x = floats(data, data.draw(shapes))
    return {"x": x, "axes": axes(data, x.ndim, 1), "epsilon": np.float32(0.01)}


def l2_norm(data: st.DataObject) -> Arguments:
    x = floats(data, data.draw(arrays.array_shapes(min_dims=3, max_dims=5, max_side=4)))
    return {"x": x, "epsilon": np.float32(0.01)}


# ---- shapes ----


def plain(data: st.DataObject) -> Arguments:
    return {"x": numbers(data, data.draw(shapes))}


def reshape(data: st.DataObject) -> Arguments:
    x = numbers(data, data.draw(shapes))
    place = data.draw(st.integers(0, x.ndim))
    asked = [*x.shape[:place], 1, *x.shape[place:]]
    asked[data.draw(st.integers(0, x.ndim))] = -1
    return {"x": x, "shape": asked}


def transpose(data: st.DataObject) -> Arguments:
    x = numbers(data, data.draw(shapes))
    return {"x": x, "perm": data.draw(st.permutations(range(x.ndim)))}


def expand_dims(data: st.DataObject) -> Arguments:
    x = numbers(data, data.draw(arrays.array_shapes(max_dims=3, max_side=4)))
    return {"x": x, "axes": [data.draw(st.integers(-x.ndim - 1, x.ndim))]}


def squeeze(data: st.DataObject) -> Arguments:
    x = numbers(data, data.draw(shapes))
    place = data.draw(st.integers(0, x.ndim))
    return {"x": np.expand_dims(x, place), "axes": [place]}


def reverse(data: st.DataObject) -> Arguments:
    x = numbers(data, data.draw(shapes))
    return {"x": x, "axes": axes(data, x.ndim, 1)}


def flatten2d(data: st.DataObject) -> Arguments:
    x = numbers(data, data.draw(arrays.array_shapes(min_dims=2, max_dims=4, max_side=4)))
    return {"x": x, "axis": data.draw(st.integers(1, x.ndim - 1))}


def tile(data: st.DataObject) -> Arguments:
    x = numbers(data, data.draw(shapes))
    return {"x": x, "reps": [data.draw(st.integers(1, 3)) for _ in x.shape]}


def pad(data: st.DataObject) -> Arguments:
    x = floats(data, data.draw(shapes))
    return {
        "x": x,
        "pad": [data.draw(st.integers(0, 3)) for _ in range(2 * x.ndim)],
        "constant_val": np.float32(7),
    }


def sliced(data: st.DataObject) -> Arguments:
    x = numbers(data, data.draw(shapes))
    bounds = [sorted(data.draw(st.tuples(*[st.integers(0, size)] * 2))) for size in x.shape]
    begin, end = [low for low, _ in bounds], [max(high, low + 1) for low, high in bounds]
    begin = [min(low, size - 1) for low, size in zip(begin, x.shape, strict=True)]
    steps = [data.draw(st.integers(1, 2)) for _ in x.shape]
    return {"x": x, "begin": begin, "end": end, "stride": steps}


def slice_by_size(data: st.DataObject) -> Arguments:
    given = sliced(data)
    sizes = [high - low for low, high in zip(given["begin"], given["end"], strict=True)]
    return {"x": given["x"], "begin": given["begin"], "size": sizes}


def slice_update(data: st.DataObject) -> Arguments:
    given = sliced(data)
    bounds = zip(given["begin"], given["end"], given["stride"], strict=True)
    part = given["x"][tuple(slice(*each) for each in bounds)]
    return {**given, "update": part + part.dtype.type(1)}


def band_part(data: st.DataObject) -> Arguments:
    x = numbers(data, data.draw(arrays.array_shapes(min_dims=2, max_dims=4, max_side=4)))
    return {"x": x, "lower": data.draw(st.integers(-1, 3)), "upper": data.draw(st.integers(-1, 3))}


def fill(data: st.DataObject) -> Arguments:
    return {"shape": list(data.draw(shapes)), "value": np.float32(data.draw(st.floats(-3, 3)))}


def fill_like(data: st.DataObject) -> Arguments:
    return {"ref_tensor": numbers(data, data.draw(shapes)), "value": np.int32(data.draw(st.integers(-3, 3)))}


def range_1d(data: st.DataObject) -> Arguments:
    start, step = data.draw(st.integers(-9, 9)), data.draw(st.integers(1, 4))
    end = start + data.draw(st.integers(1, 9))
    return {"start": np.int32(start), "end": np.int32(end), "step": np.int32(step)}


# ---- products ----


def linear(data: st.DataObject) -> Arguments:
    x = floats(data, data.draw(arrays.array_shapes(min_dims=1, max_dims=3, max_side=4)))
    outputs = data.draw(st.integers(1, 4))
    return {"x": x, "weight": floats(data, (outputs, x.shape[-1])), "bias": floats(data, (outputs,))}


def matmul(data: st.DataObject) -> Arguments:
    both = data.draw(
        arrays.mutually_broadcastable_shapes(signature="(n,k),(k,m)->(n,m)", max_dims=2, max_side=3)
    )
    left, right = (data.draw(st.booleans()) for _ in range(2))
    x, y = (floats(data, shape) for shape in both.input_shapes)
    return {
        "x": x.swapaxes(-1, -2).copy() if left else x,
        "y": y.swapaxes(-1, -2).copy() if right else y,
        "transpose_x": left,
        "transpose_y": right,
    }


def einsum(data: st.DataObject) -> Arguments:
    n, c, h, w, u = (data.draw(st.integers(1, 4)) for _ in range(5))
    return {"values": (floats(data, (n, c, h, w)), floats(data, (n, w, h, u))), "equation": "nchw,nwhu->nchu"}


def attention(data: st.DataObject) -> Arguments:
    n, heads, queries, keys, width, out = (data.draw(st.integers(1, 4)) for _ in range(6))
    return {
        "query": floats(data, (n, heads, queries, width)),
        "key": floats(data, (n, heads, keys, width)),
        "value": floats(data, (n, heads, keys, out)),
        "attn_mask": floats(data, (queries, keys)),
    }


_NUMBERS = (np.float32, np.int32)
_ANYWHERE = ("abs", "atan", "ceil", "cos", "cosh", "erf", "exp", "exp2", "floor", "gelu", "relu", "relu6")
_ANYWHERE += ("round", "sigmoid", "sign", "sin", "sinh", "softplus", "softsign", "square", "tanh")
_COMPARED = ("equal", "not_equal", "greater", "greater_equal", "less", "less_equal")
_ARITHMETIC = ("add", "sub", "mul", "maximum", "minimum", "floor_div", "mod", "real_div", *_COMPARED)
_REDUCTIONS = (
    "l1_norm",
    "l2_norm",
    "log_sum",
    "log_sum_exp",
    "max",
    "mean",
    "min",
    "prod",
    "sum",
    "sum_square",
)
_SLOPE, _SHIFT, _POSITIVE = (0.125, 1.0), (-1.0, 1.0), (0.0, 1.0)

CALLS: dict[str, Make] = {
    **dict.fromkeys(_ANYWHERE, unary()),
    **dict.fromkeys(("acos", "asin", "atanh"), unary(-0.9, 0.9)),
    "sqrt": unary(0, 9),
    "tan": unary(-1.5, 1.5),
    **dict.fromkeys(("elu", "leaky_relu", "thresholded_relu", "threshold"), unary(alpha=_SLOPE)),
    **dict.fromkeys(
        ("clamped_relu", "linear_activation", "scaled_tanh", "sigmoid_hard"), unary(alpha=_SLOPE, beta=_SLOPE)
    ),
    "clip": unary(alpha=(-2.0, -1.0), beta=(1.0, 2.0)),
    **dict.fromkeys(("inverse", "log", "rsqrt"), unary(0.1, 3, epsilon=_POSITIVE)),
    "prelu": per_channel("alpha", ranks=(4, 4)),
    "softplus_parametric": per_channel("alpha", "beta"),
    **dict.fromkeys(_ARITHMETIC, pair(_NUMBERS)),
    "pow": pair(_NUMBERS, low=1, least=1),
    **dict.fromkeys(("logical_and", "logical_or", "logical_xor"), booleans),
    "logical_not": lambda data: {"x": booleans(data)["x"]},
    "cast": cast,
    "select": select,
    "quantize": quantize,
    "dequantize": dequantize,
    "softmax": along(),
    "argsort": along(distinct, ascending=st.booleans()),
    "cumsum": cumsum,
    **dict.fromkeys(("reduce_argmax", "reduce_argmin"), along(distinct, keep_dims=st.booleans())),
    **dict.fromkeys((f"reduce_{name}" for name in _REDUCTIONS), reduced),
    "topk": topk,
    **dict.fromkeys(("concat", "stack"), joined),
    "split": split,
    "gather": gather,
    "gather_along_axis": gather_along_axis,
    "layer_norm": layer_norm,
    "l2_norm": l2_norm,
    **dict.fromkeys(("identity", "non_zero", "shape"), plain),
    "reshape": reshape,
    "transpose": transpose,
    "expand_dims": expand_dims,
    "squeeze": squeeze,
    "reverse": reverse,
    "flatten2d": flatten2d,
    "tile": tile,
    "pad": pad,
    "slice_by_index": sliced,
    "slice_by_size": slice_by_size,
    "slice_update": slice_update,
    "band_part": band_part,
    "fill": fill,
    "fill_like": fill_like,
    "range_1d": range_1d,
    "linear": linear,
    "matmul": matmul,
    "einsum": einsum,
    "scaled_dot_product_attention": attention,
}
"""What makes the arguments of a call, by the name of the op."""


def example(op: str, opset: Opset, data: st.DataObject) -> Example:
    """Draws a call of `op`."""
    return Example(op, CALLS[op](data), opset)
