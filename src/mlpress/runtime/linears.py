"""Linear layers of a traced graph by the kernel of this package, where it is faster than torch's.

It is so on one thread of a processor with wide vectors, from two rows on; for one, both take as long.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import fx

from mlpress.kernels import conv
from mlpress.runtime.native_ops import LINEAR, PACK_LINEAR
from mlpress.runtime.traced import constant_of, replace, sum_of


def replace_linears(module: fx.GraphModule) -> None:
    """Replaces the linear layers of `module`, which torch has traced for inference, that run faster here."""
    if torch.get_num_threads() > 1 or not conv.is_fast():
        return
    for node in module.graph.find_nodes(op="call_function", target=F.linear):
        if _can_be_replaced(module, node):
            _replace(module.graph, node)
    module.recompile()


def _can_be_replaced(module: fx.GraphModule, node: fx.Node) -> bool:
    _, weight_node, bias_node = _operands(node)
    weight = constant_of(module, weight_node)
    if weight is None or weight.dim() != 2 or weight.dtype != torch.float32 or weight.device.type != "cpu":
        return False
    if bias_node is not None and constant_of(module, bias_node) is None:
        return False
    return weight.shape[0] % conv.CHANNEL_STEP == 0


def _replace(graph: fx.Graph, node: fx.Node) -> None:
    x, weight, bias = _operands(node)
    done = sum_of(node)
    with graph.inserting_before(done.last):
        packed = graph.call_function(PACK_LINEAR, (weight,))
        new = graph.call_function(LINEAR, (x, packed, bias, done.residual, done.relu))
    replace(graph, done, new)


def _operands(node: fx.Node) -> tuple[Any, Any, Any]:
    arguments: Any = (*node.args, None)
    return arguments[0], arguments[1], node.kwargs.get("bias", arguments[2])
