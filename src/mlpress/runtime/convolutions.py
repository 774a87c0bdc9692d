"""Convolutions of a traced graph by the kernels of this package, where these are faster than torch's.

They are so on one thread of a processor with wide vectors: a convolution with a window of 3 x 3 by minimal
filtering, one with a window of 1 x 1 because a call costs a tenth.
"""

from __future__ import annotations

import operator
from collections.abc import Collection
from dataclasses import dataclass
from math import prod
from typing import Any, Final

import torch
from torch import Tensor, fx

from mlpress.kernels import conv
from mlpress.runtime.native_ops import PACK_POINTWISE, PACK_WINOGRAD, POINTWISE, WINOGRAD

_LEAST_TILES: Final = 16
"""Tiles of 4 x 4 outputs that pay for reading a weight that minimal filtering makes four times as large."""

_ADDITIONS: Final = (torch.add, operator.add)


@dataclass(frozen=True, slots=True)
class _Sum:
    """What is done with the result of a convolution before anything else.

    Attributes:
        nodes: The convolution, and the addition and ReLU if they follow; the last one holds what comes of it.
        residual: What is added, or None.
        relu: Whether what is negative becomes zero.
    """

    nodes: tuple[fx.Node, ...]
    residual: fx.Node | None
    relu: bool

    @property
    def last(self) -> fx.Node:
        """The node that holds what comes of it."""
        return self.nodes[-1]


def replace_convolutions(module: fx.GraphModule) -> None:
    """Replaces the convolutions of `module`, which torch has traced for inference, that run faster here."""
    if torch.get_num_threads() > 1 or not conv.is_fast():
        return
    for node in module.graph.find_nodes(op="call_function", target=torch.convolution):
        window = _window(module, node)
        if window == (1, 1):
            _replace(module.graph, node, PACK_POINTWISE, POINTWISE)
        elif window == (3, 3):
            _replace(module.graph, node, PACK_WINOGRAD, WINOGRAD)
    module.recompile()


def _window(module: fx.GraphModule, node: fx.Node) -> tuple[int, int] | None:
    """Returns the window of a convolution that can be replaced and is worth it, else None."""
    arguments: Any = node.args
    _, weight_node, bias_node, strides, padding, dilations, transposed, _, groups = arguments
    weight = _constant(module, weight_node)
    if weight is None or weight.dim() != 4 or weight.dtype != torch.float32 or weight.device.type != "cpu":
        return None
    if bias_node is not None and _constant(module, bias_node) is None:
        return None
    channels_out, channels_in, *window = weight.shape
    if transposed or groups != 1 or channels_out % conv.CHANNEL_STEP:
        return None
    if window == [1, 1] and not any(padding):
        return 1, 1
    plain = (*strides, *dilations, *padding) == (1,) * 6 and channels_in % conv.CHANNEL_STEP == 0
    if window == [3, 3] and plain and _tiles(_shape(node)) >= _LEAST_TILES:
        return 3, 3
    return None


def _replace(graph: fx.Graph, node: fx.Node, pack: Any, convolve: Any) -> None:
    arguments: Any = node.args
    x, weight, bias, strides = arguments[:4]
    done = _sum(node)
    with graph.inserting_before(done.last):
        if tuple(strides) != (1, 1):
            kept = (slice(None), slice(None), *(slice(None, None, step) for step in strides))
            x = graph.call_function(operator.getitem, (x, kept))
        packed = graph.call_function(pack, (weight,))
        residual = None if done.residual is None else _channels_last(graph, done.residual)
        new = graph.call_function(convolve, (_channels_last(graph, x), packed, bias, residual, done.relu))
    new.meta["example_value"] = done.last.meta["example_value"]
    done.last.replace_all_uses_with(new)
    for old in reversed(done.nodes):
        graph.erase_node(old)


def _channels_last(graph: fx.Graph, x: Any) -> fx.Node:
    return graph.call_method("contiguous", (x,), {"memory_format": torch.channels_last})


def _sum(node: fx.Node) -> _Sum:
    nodes, residual = [node], None
    addition = _only_use(node, _ADDITIONS)
    if addition is not None:
        others = [x for x in addition.all_input_nodes if x is not node]
        if others and _shape(others[0]) == _shape(node) is not None:
            nodes.append(addition)
            residual = others[0]
    relu = _only_use(nodes[-1], (torch.relu,))
    return _Sum((*nodes, relu) if relu else tuple(nodes), residual, relu is not None)


def _only_use(node: fx.Node, targets: Collection[Any]) -> fx.Node | None:
    """Returns the only node that uses `node`, if it calls one of `targets` and has no options."""
    users = list(node.users)
    return users[0] if len(users) == 1 and users[0].target in targets and not users[0].kwargs else None


def _tiles(shape: tuple[int, ...] | None) -> int:
    """Returns how many tiles of 4 x 4 images of `shape` [n, channels, height, width] have, 0 if unknown."""
    return 0 if shape is None else shape[0] * prod(-(-size // 4) for size in shape[2:])


def _shape(node: fx.Node) -> tuple[int, ...] | None:
    """Returns the shape of the tensor that `node` holds, or None if it holds none or a size is symbolic."""
    value = node.meta.get("example_value")
    if not isinstance(value, Tensor) or not all(isinstance(size, int) for size in value.shape):
        return None
    return tuple(value.shape)


def _constant(module: fx.GraphModule, x: Any) -> Tensor | None:
    """Returns the tensor that `x` reads from `module`, or None if it does something else."""
    if not isinstance(x, fx.Node) or x.op != "get_attr":
        return None
    found = operator.attrgetter(str(x.target))(module)
    return found if isinstance(found, Tensor) else None
