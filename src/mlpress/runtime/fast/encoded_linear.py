"""Linear layers, and convolutions with a window of one, of float32 by weights that stay in their encoding."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Final

from torch import Tensor, fx

from mlpress.kernels import encoded
from mlpress.kernels.encoded import PackedWeight
from mlpress.mil import TensorType
from mlpress.runtime.fast.nodes import argument, encoding_of, is_product, kind, take_place
from mlpress.runtime.fast.opaque import Opaque
from mlpress.runtime.fast.packed_weight import packed_weight
from mlpress.runtime.fast.threads import share
from mlpress.runtime.parts import Parts

_LEAST_SHARE: Final = 1 << 20
"""Elements of a weight that are worth a thread of their own."""

_LEAST_SIZE: Final = 1 << 14
"""Elements of a weight up to which torch is done with its float32 numbers before a kernel here is called."""

_MOST_PLACES: Final = 64
"""Places of an image up to which it pays to read less; torch has better kernels for larger ones."""


class EncodedLinear(Opaque):
    """``x @ weight.T + bias``, by as many threads as torch uses."""

    def __init__(self, weight: PackedWeight, bias: Tensor | None) -> None:
        super().__init__()
        self._weight = weight
        self._bias = None if bias is None else bias.detach().numpy()

    def run(self, x: Tensor, *_: Tensor) -> Tensor:
        """Returns float32 [..., features out] of float32 [..., features in]."""
        if x.requires_grad:
            x = x.detach()
        n, k = self._weight.shape
        # Of a small layer, each of these takes a good part of the time.
        rows = (x if x.dim() == 2 else x.reshape(-1, k)).contiguous()
        result = rows.new_empty((len(rows), n))
        encoded.linear(rows.numpy(), self._weight, self._bias, result.numpy(), self._share)
        return result if x.dim() == 2 else result.reshape(*x.shape[:-1], n)

    def like(self, x: Tensor, *_: Tensor) -> Tensor:
        """Returns rows side by side."""
        return x.new_empty((*x.shape[:-1], self._weight.shape[0]))

    def _share(self, work: Callable[[int, int], None]) -> None:
        n, k = self._weight.shape
        share(work, n, n * k // _LEAST_SHARE)


class EncodedConv(EncodedLinear):
    """The same for channels on axis 1."""

    def run(self, x: Tensor, *_: Tensor) -> Tensor:
        """Returns float32 [n, channels out, *spatial] of float32 [n, channels in, *spatial]."""
        return super().run(x.movedim(1, -1)).movedim(-1, 1)

    def like(self, x: Tensor, *_: Tensor) -> Tensor:
        """Returns an image with channels last."""
        return super().like(x.movedim(1, -1)).movedim(-1, 1)


def keep_linear_encoded(graph: fx.Graph, parts: Parts, node: fx.Node) -> None:
    """Lets `node`, linear or a convolution, take its weight encoded, if there is a faster kernel for it."""
    read, bias_node = argument(node, "weight"), argument(node, "bias")
    encoding = encoding_of(read)
    if encoding is None or not encoded.is_fast() or not is_product(node, encoding):
        return
    if prod(encoding.shape) <= _LEAST_SIZE and read.op == "get_attr":  # else it would be decoded each time
        return
    if kind(node) == "conv" and not _has_few_places(node):
        return
    weight = packed_weight(encoding)
    bias = None if bias_node is None else parts.constant(bias_node)
    if weight is None or (bias_node is not None and bias is None):
        return
    module = EncodedConv if kind(node) == "conv" else EncodedLinear
    path = parts.keep_module(node.name, module(weight, bias))
    with graph.inserting_before(node):
        new = graph.call_module(path, (argument(node, "x"),))
    take_place(graph, node, new)


def _has_few_places(node: fx.Node) -> bool:
    """Whether the convolution `node` gives an image known to be small, without leaving places out."""
    value = node.meta["value"].type
    assert isinstance(value, TensorType)  # a convolution makes a tensor
    n, _, *sizes = value.shape
    places = prod(size or _MOST_PLACES + 1 for size in (n, *sizes))
    return places <= _MOST_PLACES and all(step == 1 for step in argument(node, "strides", ()))
