"""Rewrites a graph so that quantized values stay 8-bit codes from one operation to the next.

`quantize` and `dequantize` of whole tensors become operations on uint8 codes. Then each operation between a
dequantize and a quantize for which there is an integer kernel takes the place of all of them:

    dequantize, conv or linear [, activation] [, quantize]    -> one module, sums in whole numbers
    two of dequantize, add [, relu], quantize                 -> one pass over the codes
    dequantize, max_pool, quantize with the same parameters   -> the largest codes

Values that a graph rounds to codes are rounded there all the same; none is skipped.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, fx

from mlpress.runtime.fast import codes
from mlpress.runtime.fast.integer_weight import IntegerWeight, integer_weight
from mlpress.runtime.fast.layers import (
    Finish,
    Grid,
    QuantizedConv,
    QuantizedLinear,
    Window,
    is_available,
)
from mlpress.runtime.parts import Parts

_NEVER_NEGATIVE: Final = ("relu", "relu6", "sigmoid", "softmax", "exp", "abs", "square")
_KEEP_SIGNS: Final = (
    "max_pool",
    "avg_pool",
    "reshape",
    "transpose",
    "expand_dims",
    "squeeze",
    "slice_by_index",
)


@dataclass(frozen=True, slots=True)
class _Coded:
    """Codes that a node holds, and what they stand for."""

    node: fx.Node
    grid: Grid


def keep_quantized(graph: fx.Graph, parts: Parts) -> None:
    """Rewrites `graph`, which `mlpress.runtime.build` made, in place."""
    rewriter = _Rewriter(graph, parts)
    for node in list(graph.nodes):
        rewriter.use_codes(node)
    for node in list(graph.nodes):
        rewriter.fuse(node)


class _Rewriter:
    def __init__(self, graph: fx.Graph, parts: Parts) -> None:
        self._graph = graph
        self._parts = parts
        self._integers = is_available()
        self._grids: dict[fx.Node, Grid] = {}
        """Grids of nodes that quantize to codes."""
        self._coded: dict[fx.Node, _Coded] = {}
        """What nodes that dequantize codes take."""

    # ---- quantize and dequantize become operations on codes ----

    def use_codes(self, node: fx.Node) -> None:
        """Lets `node`, if it quantizes, and all that dequantizes its result work on uint8 codes."""
        users = list(node.users)
        if _kind(node) != "quantize" or not all(_kind(user) == "dequantize" for user in users):
            return
        parameters = [self._parameters(one) for one in (node, *users)]
        known = [one for one in parameters if one is not None]
        if len(known) < len(parameters) or known[0][0] <= 0:
            return
        x: Any = node.kwargs["input"]
        shift, grid = self._grid(x, *known[0], signed=node.kwargs["output_dtype"] == "int8")
        with self._graph.inserting_before(node):
            new = self._graph.call_function(codes.quantize, (x, grid.scale, grid.zero, grid.low, grid.high))
        self._grids[new] = grid
        for user, (scale, zero) in zip(users, known[1:], strict=True):
            with self._graph.inserting_before(user):
                plain = self._graph.call_function(codes.dequantize, (new, scale, zero + shift))
            self._coded[plain] = _Coded(new, Grid(scale, zero + shift, grid.low, grid.high))
            user.replace_all_uses_with(plain)
            self._graph.erase_node(user)
        self._graph.erase_node(node)

    def _parameters(self, node: fx.Node) -> tuple[float, int] | None:
        """Returns scale and zero point, if they are known and for the whole tensor."""
        if node.kwargs.get("axis") is not None:
            return None
        scale = self._number(node.kwargs["scale"])
        zero = 0 if node.kwargs.get("zero_point") is None else self._number(node.kwargs["zero_point"])
        return None if scale is None or zero is None else (scale, int(zero))

    def _number(self, node: Any) -> float | None:
        value = self._parts.constant(node)
        return None if value is None or value.numel() != 1 else float(value)

    def _grid(self, x: fx.Node, scale: float, zero: int, *, signed: bool) -> tuple[int, Grid]:
        """Returns how much higher codes are than the program's, and what they stand for."""
        if not signed:
            return 0, Grid(scale, zero)
        if zero == 0 and self._is_never_negative(x):
            return 0, Grid(scale, 0, high=127)  # products with a zero of 0 take the least work
        return 128, Grid(scale, zero + 128)

    def _is_never_negative(self, node: fx.Node) -> bool:
        coded = self._coded.get(node)
        if coded is not None:
            return coded.grid.low >= coded.grid.zero
        kind = _kind(node)
        return kind in _NEVER_NEGATIVE or (kind in _KEEP_SIGNS and self._is_never_negative(node.kwargs["x"]))

    # ---- operations between them ----

    def fuse(self, node: fx.Node) -> None:
        """Replaces `node`, and what stands around it, if there is a kernel for codes."""
        kind = _kind(node)
        if kind in _FUSIONS:
            _FUSIONS[kind](self, node)

    def _conv(self, node: fx.Node) -> None:
        rank = len(weight.encoding.shape) if (weight := self._weight(node)) is not None else 0
        if weight is None or rank not in (3, 4, 5):
            return
        ones = (1,) * (rank - 2)
        window = Window(
            strides=node.kwargs.get("strides") or ones,
            pad_type=node.kwargs.get("pad_type", "valid"),
            pad=node.kwargs.get("pad"),
            dilations=node.kwargs.get("dilations") or ones,
            groups=node.kwargs.get("groups", 1),
        )
        self._layer(node, lambda bias, source, finish: QuantizedConv(weight, bias, window, source, finish))

    def _linear(self, node: fx.Node) -> None:
        weight = self._weight(node)
        if weight is not None:
            self._layer(node, lambda bias, source, finish: QuantizedLinear(weight, bias, source, finish))

    def _weight(self, node: fx.Node) -> IntegerWeight | None:
        weight: Any = node.kwargs["weight"]
        if not self._integers or "constant" not in weight.meta:
            return None
        return integer_weight(weight.meta["constant"].data)

    def _layer(self, node: fx.Node, make: Callable[[Tensor | None, Grid, Finish], torch.nn.Module]) -> None:
        source = self._coded.get(node.kwargs["x"])
        bias_node: Any = node.kwargs.get("bias")
        bias = None if bias_node is None else self._parts.constant(bias_node)
        if source is None or (bias_node is not None and bias is None):
            return
        last, finish = self._finish(node)
        path = self._parts.keep_module(node.name, make(bias, source.grid, finish))
        with self._graph.inserting_before(last):
            new = self._graph.call_module(path, (source.node,))
        self._take_place(last, new)

    def _finish(self, node: fx.Node) -> tuple[fx.Node, Finish]:
        """Returns the last node of what can be done with the sums of `node` in the same kernel, and that."""
        last, name, parameters, algorithm = node, "none", (), ""
        user = _only_user(node)
        activation = _ACTIVATIONS.get(_kind(user)) if user is not None else None
        found = activation(user) if activation is not None else None
        if found is not None:
            last, (name, parameters, algorithm) = user, found
            user = _only_user(user)
        grid = self._grids.get(user)
        if grid is None:
            return last, Finish(name, parameters, algorithm)
        if grid.high < 255:  # only what is never negative has such codes
            if name not in ("relu", "hardtanh"):
                return last, Finish(name, parameters, algorithm)
            most = grid.scale * (grid.high - grid.zero)
            name, parameters = "hardtanh", (0.0, min(most, *parameters[1:], most))
        return user, Finish(name, parameters, algorithm, grid)

    def _add(self, node: fx.Node) -> None:
        x, y = (self._coded.get(node.kwargs[name]) for name in ("x", "y"))
        user = _only_user(node)
        relu = user is not None and _kind(user) == "relu"
        if relu:
            user = _only_user(user)
        grid = self._grids.get(user)
        if x is None or y is None or grid is None:
            return
        low = max(grid.low, grid.zero) if relu else grid.low
        arguments = (
            *(x.node, x.grid.scale, x.grid.zero),
            *(y.node, y.grid.scale, y.grid.zero),
            *(grid.scale, grid.zero, low, grid.high),
        )
        with self._graph.inserting_before(user):
            new = self._graph.call_function(codes.add, arguments)
        self._take_place(user, new)

    def _max_pool(self, node: fx.Node) -> None:
        source, user = self._coded.get(node.kwargs["x"]), _only_user(node)
        sizes: Any = node.kwargs["kernel_sizes"]
        if (
            source is None
            or self._grids.get(user) != source.grid
            or len(sizes) != 2
            or node.kwargs.get("ceil_mode")
        ):
            return
        arguments = (source.node, sizes, node.kwargs.get("strides") or (1, 1), node.kwargs["pad_type"])
        with self._graph.inserting_before(user):
            new = self._graph.call_function(codes.max_pool, (*arguments, node.kwargs.get("pad")))
        self._take_place(user, new)

    def _take_place(self, last: fx.Node, new: fx.Node) -> None:
        """Lets `new` take the place of `last` and of all that only led there."""
        if last in self._grids:
            self._grids[new] = self._grids.pop(last)
            for coded_node, coded in list(self._coded.items()):
                if coded.node is last:
                    self._coded[coded_node] = _Coded(new, coded.grid)
        last.replace_all_uses_with(new)
        _erase_unused(self._graph, last)


_FUSIONS: Final[dict[str, Callable[[_Rewriter, fx.Node], None]]] = {
    "add": _Rewriter._add,
    "conv": _Rewriter._conv,
    "linear": _Rewriter._linear,
    "max_pool": _Rewriter._max_pool,
}

_Activation = tuple[str, tuple[float, ...], str]

_ACTIVATIONS: Final[dict[str, Callable[[fx.Node], _Activation | None]]] = {
    "gelu": lambda node: _GELUS.get(node.kwargs.get("mode", "EXACT")),
    "relu": lambda node: ("relu", (), ""),
    "relu6": lambda node: ("hardtanh", (0.0, 6.0), ""),
}

_GELUS: Final[dict[Any, _Activation]] = {
    "EXACT": ("gelu", (), "none"),
    "TANH_APPROXIMATION": ("gelu", (), "tanh"),
}


def _kind(node: fx.Node) -> str:
    """Returns the type of the operation that `node` computes as it stands in the program, else nothing."""
    return node.meta.get("operation", "") if node.op == "call_function" else ""


def _only_user(node: fx.Node | None) -> fx.Node | None:
    users = () if node is None else tuple(node.users)
    return users[0] if len(users) == 1 else None


def _erase_unused(graph: fx.Graph, node: fx.Node) -> None:
    if node.users or node.op == "placeholder":
        return
    inputs = node.all_input_nodes
    graph.erase_node(node)
    for each in inputs:
        _erase_unused(graph, each)
