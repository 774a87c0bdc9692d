"""Operations between quantized values, computed on their codes.

    dequantize, conv or linear [, activation] [, quantize]    -> one module, sums in whole numbers
    two of dequantize, add [, relu], quantize                 -> one pass over the codes, or none: the
                                                                 convolution that makes one of them adds
    dequantize, a function of each element, quantize          -> a table of the codes it gives
    dequantize, max_pool, quantize with the same parameters   -> the largest codes

What a program rounds to codes is rounded here all the same: no quantize of the program is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import prod
from typing import Any, Final

import torch
from torch import Tensor, fx, nn

from mlpress.runtime.fast import code_conv, codes, onednn
from mlpress.runtime.fast.activations import Activation, activation_of
from mlpress.runtime.fast.coded import Coded, CodedValues
from mlpress.runtime.fast.grid import Grid
from mlpress.runtime.fast.integer_weight import IntegerWeight, integer_weight
from mlpress.runtime.fast.layers import Finish, Window
from mlpress.runtime.fast.nodes import argument, kind, only_user

_MOST_ROWS: Final = 256
"""Rows up to which a linear layer takes less time here than by oneDNN."""


def fuse(values: CodedValues) -> None:
    """Replaces operations of the graph for which there is a kernel on codes, and what stands around them."""
    for node in list(values.graph.nodes):
        fusion = _FUSIONS.get(kind(node))
        if fusion is not None:
            fusion(values, node)


def _conv(values: CodedValues, node: fx.Node) -> None:
    weight = _weight(node)
    if weight is None:
        return
    ones = (1,) * (len(weight.encoding.shape) - 2)
    window = Window(
        strides=argument(node, "strides", ones),
        pad_type=argument(node, "pad_type", "valid"),
        pad=argument(node, "pad"),
        dilations=argument(node, "dilations", ones),
        groups=argument(node, "groups", 1),
    )
    if code_conv.convolves(weight, window):
        _layer(values, node, _Maker(code_conv.KNOWN, Finish, partial(code_conv.CodeConv, weight, window)))
    elif onednn.is_available():
        known = onednn.ON_VOLUMES if len(ones) == 3 else onednn.ON_IMAGES
        _layer(values, node, _Maker(known, onednn.to_codes, partial(onednn.QuantizedConv, weight, window)))


def _linear(values: CodedValues, node: fx.Node) -> None:
    weight = _weight(node)
    if weight is None:
        return
    has_onednn = onednn.is_available()
    if code_conv.multiplies(weight) and not (has_onednn and _suits_onednn(node)):
        _layer(values, node, _Maker(code_conv.KNOWN, Finish, partial(code_conv.CodeLinear, weight)))
    elif has_onednn:
        linear = partial(onednn.QuantizedLinear, weight)
        _layer(values, node, _Maker(onednn.ON_FEATURES, onednn.to_codes, linear))


def _suits_onednn(node: fx.Node) -> bool:
    """Whether oneDNN computes the linear layer `node` faster: of many rows, or with GELU behind."""
    if kind(only_user(node)) == "gelu":
        return True
    rows = node.meta["value"].type.shape[:-1]
    return None in rows or prod(rows) > _MOST_ROWS


def _weight(node: fx.Node) -> IntegerWeight | None:
    read = argument(node, "weight")
    if read.op != "get_attr" or "constant" not in read.meta:
        return None
    return integer_weight(read.meta["constant"].data)


@dataclass(frozen=True, slots=True)
class _Maker:
    """What makes a layer.

    Attributes:
        known: Names of the activations that it has.
        to_codes: Returns how it makes codes of an activation of sums, or None if it can't.
        make: Returns the layer by its bias, what its input's codes stand for, and what is done with sums.
    """

    known: Sequence[str]
    to_codes: Callable[[Activation, Grid], Finish | None]
    make: Callable[[Tensor | None, Grid, Finish], nn.Module]


def _layer(values: CodedValues, node: fx.Node, maker: _Maker) -> None:
    source, bias_node = values.coded.get(argument(node, "x")), argument(node, "bias")
    bias = None if bias_node is None else values.parts.constant(bias_node)
    if source is None or (bias_node is not None and bias is None):
        return
    last, finish = _finish(values, node, maker)
    path = values.parts.keep_module(node.name, maker.make(bias, source.grid, finish))
    with values.graph.inserting_before(last):
        new = values.graph.call_module(path, (source.node,))
    values.take_place(last, new)


def _finish(values: CodedValues, node: fx.Node, maker: _Maker) -> tuple[fx.Node, Finish]:
    """Returns what can be done with the sums of `node` in the same kernel, and the last node of that."""
    last, activation, user = node, Activation(), only_user(node)
    found = None if user is None else activation_of(user)
    if user is not None and found is not None and found.name in maker.known:
        last, activation, user = user, found, only_user(user)
    grid = None if user is None else values.grids.get(user)
    finish = None if grid is None else maker.to_codes(activation, grid)
    return (last, Finish(activation, None)) if user is None or finish is None else (user, finish)


def _add(values: CodedValues, node: fx.Node) -> None:
    x, y = (values.coded.get(argument(node, name)) for name in ("x", "y"))
    user = only_user(node)
    has_relu = kind(user) == "relu"
    if has_relu:
        user = only_user(user)
    grid = None if user is None else values.grids.get(user)
    if x is None or y is None or user is None or grid is None:
        return
    total = replace(grid, low=max(grid.low, grid.zero)) if has_relu else grid
    for one, other in ((x, y), (y, x)):
        if _add_to_conv(values, node, one, other, user, total):
            return
    arguments = (
        *(x.node, x.grid.scale, x.grid.zero),
        *(y.node, y.grid.scale, y.grid.zero),
        *(total.scale, total.zero, total.low, total.high),
    )
    with values.graph.inserting_before(user):
        new = values.graph.call_function(codes.add, arguments)
    values.take_place(user, new)


def _add_to_conv(
    values: CodedValues, node: fx.Node, one: Coded, other: Coded, user: fx.Node, total: Grid
) -> bool:
    """Lets a convolution whose result, `one`, is only used by the sum `node` make the sum's codes.

    Returns whether it can: it has to be of this package, and both operands of the same, known shape.
    """
    conv = values.parts.module(one.node)
    if not isinstance(conv, code_conv.CodeConv) or conv.adds or only_user(only_user(one.node)) is not node:
        return False
    if one.shape != other.shape or None in one.shape or one.node is other.node:
        return False
    path = values.parts.keep_module(node.name, conv.adding(other.grid, total))
    with values.graph.inserting_before(user):
        new = values.graph.call_module(path, (*one.node.args, other.node))
    values.take_place(user, new)
    return True


def _max_pool(values: CodedValues, node: fx.Node) -> None:
    source, user, sizes = (
        values.coded.get(argument(node, "x")),
        only_user(node),
        argument(node, "kernel_sizes"),
    )
    if source is None or user is None or values.grids.get(user) != source.grid:
        return
    if len(sizes) != 2 or argument(node, "ceil_mode"):
        return
    steps = (argument(node, "strides", (1, 1)), argument(node, "pad_type"), argument(node, "pad"))
    with values.graph.inserting_before(user):
        new = values.graph.call_function(codes.max_pool, (source.node, sizes, *steps))
    values.take_place(user, new)


def _function(values: CodedValues, node: fx.Node) -> None:
    source, user = values.coded.get(argument(node, "x")), only_user(node)
    grid = None if user is None else values.grids.get(user)
    if source is None or user is None or grid is None or len(node.all_input_nodes) > 1:
        return
    numbers = codes.dequantize(torch.arange(256, dtype=torch.uint8), source.grid.scale, source.grid.zero)
    compute: Any = node.target
    results = compute(**{**node.kwargs, "x": numbers})
    table = codes.quantize(results, grid.scale, grid.zero, grid.low, grid.high)
    path = values.parts.keep("table", table)
    with values.graph.inserting_before(user):
        arguments = (source.node, values.graph.get_attr(path))
        new = values.graph.call_function(codes.look_up, arguments)
    values.take_place(user, new)


_FUNCTIONS: Final = (
    "clamped_relu",
    "elu",
    "erf",
    "exp",
    "gelu",
    "leaky_relu",
    "relu",
    "relu6",
    "sigmoid",
    "sigmoid_hard",
    "silu",
    "softplus",
    "softsign",
    "tanh",
)

_FUSIONS: Final[dict[str, Callable[[CodedValues, fx.Node], None]]] = {
    "add": _add,
    "conv": _conv,
    "linear": _linear,
    "max_pool": _max_pool,
    **dict.fromkeys(_FUNCTIONS, _function),
}
