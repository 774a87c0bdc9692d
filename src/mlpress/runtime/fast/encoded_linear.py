"""Linear layers of float32 by weights that stay in their encoding."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Final

import torch
from torch import Tensor, fx

from mlpress.kernels import encoded
from mlpress.kernels.encoded import PackedWeight
from mlpress.runtime.fast.nodes import argument, encoding_of, take_place
from mlpress.runtime.fast.opaque import Opaque
from mlpress.runtime.fast.packed_weight import packed_weight
from mlpress.runtime.parts import Parts

_LEAST_SHARE: Final = 1 << 20
"""Elements of a weight that are worth a thread of their own."""


class EncodedLinear(Opaque):
    """``x @ weight.T + bias``, by as many threads as torch uses."""

    def __init__(self, weight: PackedWeight, bias: Tensor | None) -> None:
        super().__init__()
        self._weight = weight
        self._bias = None if bias is None else bias.detach().numpy()

    def run(self, x: Tensor) -> Tensor:
        """Returns float32 [..., features out] of float32 [..., features in]."""
        n, k = self._weight.shape
        rows = x.detach().reshape(x.shape[:-1].numel(), k).contiguous().numpy()
        product = encoded.linear(rows, self._weight, self._bias, self._share)
        return torch.from_numpy(product).reshape(*x.shape[:-1], n)

    def like(self, x: Tensor) -> Tensor:
        """Returns rows side by side."""
        return x.new_empty((*x.shape[:-1], self._weight.shape[0]))

    def _share(self, work: Callable[[int, int], None]) -> None:
        n, k = self._weight.shape
        count = min(torch.get_num_threads(), max(1, n * k // _LEAST_SHARE))
        if count == 1:
            return work(0, n)
        ends = [n * part // count for part in range(count + 1)]
        for _ in _threads().map(work, ends[:-1], ends[1:]):
            pass
        return None


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(thread_name_prefix="mlpress")


def keep_linear_encoded(graph: fx.Graph, parts: Parts, node: fx.Node) -> None:
    """Lets the linear layer `node` take its weight encoded, if there is a kernel that is faster so."""
    encoding, bias_node = encoding_of(argument(node, "weight")), argument(node, "bias")
    weight = None if encoding is None or not encoded.is_fast() else packed_weight(encoding)
    bias = None if bias_node is None else parts.constant(bias_node)
    if weight is None or (bias_node is not None and bias is None):
        return
    path = parts.keep_module(node.name, EncodedLinear(weight, bias))
    with graph.inserting_before(node):
        new = graph.call_module(path, (argument(node, "x"),))
    take_place(graph, node, new)
