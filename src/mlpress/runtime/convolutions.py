"""Convolutions of a traced graph by the kernels of this package, where these are faster than torch's.

They are so on one thread of a processor with wide vectors: a convolution with a window of 3 x 3 by minimal
filtering, one with a window of 1 x 1 because a call costs a tenth.
"""

from __future__ import annotations

import operator
from math import prod
from typing import Any, Final

import torch
from torch import fx

from mlpress.kernels import conv
from mlpress.runtime.native_ops import PACK_POINTWISE, PACK_WINOGRAD, POINTWISE, WINOGRAD
from mlpress.runtime.traced import constant_of, replace, shape_of, sum_of

_LEAST_TILES: Final = 16
"""Tiles of 4 x 4 outputs that pay for reading a weight that minimal filtering makes four times as large."""


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
    weight = constant_of(module, weight_node)
    if weight is None or weight.dim() != 4 or weight.dtype != torch.float32 or weight.device.type != "cpu":
        return None
    if bias_node is not None and constant_of(module, bias_node) is None:
        return None
    channels_out, channels_in, *window = weight.shape
    if transposed or groups != 1 or channels_out % conv.CHANNEL_STEP:
        return None
    if window == [1, 1] and not any(padding):
        return 1, 1
    plain = (*strides, *dilations, *padding) == (1,) * 6 and channels_in % conv.CHANNEL_STEP == 0
    if window == [3, 3] and plain and _tiles(shape_of(node)) >= _LEAST_TILES:
        return 3, 3
    return None


def _replace(graph: fx.Graph, node: fx.Node, pack: Any, convolve: Any) -> None:
    arguments: Any = node.args
    x, weight, bias, strides = arguments[:4]
    done = sum_of(node)
    with graph.inserting_before(done.last):
        if tuple(strides) != (1, 1):
            kept = (slice(None), slice(None), *(slice(None, None, step) for step in strides))
            x = graph.call_function(operator.getitem, (x, kept))
        packed = graph.call_function(pack, (weight,))
        residual = None if done.residual is None else _channels_last(graph, done.residual)
        new = graph.call_function(convolve, (_channels_last(graph, x), packed, bias, residual, done.relu))
    replace(graph, done, new)


def _channels_last(graph: fx.Graph, x: Any) -> fx.Node:
    return graph.call_method("contiguous", (x,), {"memory_format": torch.channels_last})


def _tiles(shape: tuple[int, ...] | None) -> int:
    """Returns how many tiles of 4 x 4 images of `shape` [n, channels, height, width] have, 0 if unknown."""
    return 0 if shape is None else shape[0] * prod(-(-size // 4) for size in shape[2:])
