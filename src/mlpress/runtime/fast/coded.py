"""Quantized values of a graph as 8-bit codes.

Operations `quantize` and `dequantize` of whole tensors become operations on uint8 codes, which the kernels
take, whatever integers the program has.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

from torch import fx

from mlpress.runtime.fast import codes
from mlpress.runtime.fast.grid import Grid
from mlpress.runtime.fast.nodes import argument, kind, parameters, take_place
from mlpress.runtime.parts import Parts

_NEVER_NEGATIVE: Final = ("relu", "relu6", "sigmoid", "softmax", "exp", "abs", "square")
_KEEP_SIGNS: Final = ("max_pool", "avg_pool", "reshape", "transpose", "expand_dims", "squeeze")


@dataclass(frozen=True, slots=True)
class Coded:
    """Codes that a node holds, what they stand for where they are used, and their shape (None: unknown)."""

    node: fx.Node
    grid: Grid
    shape: tuple[int | None, ...]


@dataclass(slots=True)
class CodedValues:
    """The codes of a graph.

    Attributes:
        graph: The graph.
        parts: What it refers to.
        grids: What the codes of nodes that make codes stand for.
        coded: For each node that dequantizes codes, these.
    """

    graph: fx.Graph
    parts: Parts
    grids: dict[fx.Node, Grid] = field(default_factory=dict)
    coded: dict[fx.Node, Coded] = field(default_factory=dict)

    def take_place(self, last: fx.Node, new: fx.Node) -> None:
        """Lets `new` make what `last` makes, codes or numbers, and takes out all that only led there."""
        if last in self.grids:
            self.grids[new] = self.grids.pop(last)
            for node, coded in self.coded.items():
                if coded.node is last:
                    self.coded[node] = replace(coded, node=new)
        take_place(self.graph, last, new)


def to_codes(graph: fx.Graph, parts: Parts) -> CodedValues:
    """Lets quantized values of `graph`, which `mlpress.runtime.build` made, be uint8 codes."""
    values = CodedValues(graph, parts)
    for node in list(graph.nodes):
        if kind(node) == "quantize":
            _use_codes(values, node)
    return values


def _use_codes(values: CodedValues, node: fx.Node) -> None:
    """Lets `node`, which quantizes, and all that use its result, if these dequantize, work on codes."""
    users = list(node.users)
    if not users or any(kind(user) != "dequantize" for user in users):
        return
    found = [parameters(values.parts, one) for one in (node, *users)]
    known = [one for one in found if one is not None]
    if len(known) < len(found) or known[0][0] <= 0:
        return
    shift, grid = _grid(values, node, *known[0])
    graph = values.graph
    with graph.inserting_before(node):
        made = (argument(node, "input"), grid.scale, grid.zero, grid.low, grid.high)
        quantized = graph.call_function(codes.quantize, made)
    values.grids[quantized] = grid
    for user, (scale, zero) in zip(users, known[1:], strict=True):
        with graph.inserting_before(user):
            plain = graph.call_function(codes.dequantize, (quantized, scale, zero + shift))
        meant = Grid(scale, zero + shift, grid.low, grid.high)
        values.coded[plain] = Coded(quantized, meant, user.meta["value"].type.shape)
        take_place(graph, user, plain)


def _grid(values: CodedValues, node: fx.Node, scale: float, zero: int) -> tuple[int, Grid]:
    """Returns how much higher codes are than the program's integers, and what they stand for."""
    if argument(node, "output_dtype") == "uint8":
        return 0, Grid(scale, zero)
    if zero == 0 and _is_never_negative(values, argument(node, "input")):
        return 0, Grid(scale, 0, high=127)  # products with a zero of 0 take the least work
    return 128, Grid(scale, zero + 128)


def _is_never_negative(values: CodedValues, node: fx.Node) -> bool:
    if node in values.coded:
        return values.coded[node].grid.never_negative
    name = kind(node)
    return name in _NEVER_NEGATIVE or (
        name in _KEEP_SIGNS and _is_never_negative(values, argument(node, "x"))
    )
