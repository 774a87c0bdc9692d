"""Embeddings: rows of a weight that stays in its encoding."""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from torch import Tensor, fx

from mlpress.bits import FLOAT16
from mlpress.encoding import Dense, Encoding, decode, take_rows
from mlpress.runtime.fast.nodes import argument, encoding_of, take_place
from mlpress.runtime.fast.opaque import Opaque
from mlpress.runtime.parts import Parts

_NONE: Final = np.empty(0, np.int64)


class EncodedRows(Opaque):
    """``weight[indices]``; negative indices count from the end."""

    def __init__(self, weight: Encoding) -> None:
        super().__init__()
        self._weight = weight

    def run(self, x: Tensor, *_: Tensor) -> Tensor:
        """Returns float32 of the shape of the indices `x` and then that of a row."""
        count = self._weight.shape[0]
        flat = x.reshape(-1).long().numpy()
        if ((flat < -count) | (flat >= count)).any():
            raise IndexError(f"an index is {flat.min()} or {flat.max()}; allowed: -{count} to {count - 1}")
        rows = take_rows(self._weight, np.where(flat < 0, flat + count, flat))
        assert rows is not None  # `keep_rows_encoded` has looked
        values = torch.from_numpy(decode(rows).astype(np.float32))
        return values.reshape(*x.shape, *self._weight.shape[1:])

    def like(self, x: Tensor, *_: Tensor) -> Tensor:
        """Returns the rows in order."""
        return x.new_empty((*x.shape, *self._weight.shape[1:]), dtype=torch.float32)


def keep_rows_encoded(graph: fx.Graph, parts: Parts, node: fx.Node) -> None:
    """Lets the gather `node`, if it takes rows of a weight, decode these only."""
    encoding = encoding_of(argument(node, "x"))
    if encoding is None or not _takes_less(encoding) or argument(node, "batch_dims", 0):
        return
    if argument(node, "axis", 0) not in (0, -len(encoding.shape)) or take_rows(encoding, _NONE) is None:
        return
    path = parts.keep_module(node.name, EncodedRows(encoding))
    with graph.inserting_before(node):
        new = graph.call_module(path, (argument(node, "indices"),))
    take_place(graph, node, new)


def _takes_less(weight: Encoding) -> bool:
    """Whether a weight is smaller as it is stored than as float32."""
    return weight.dtype == FLOAT16 or (weight.dtype.is_float and not isinstance(weight, Dense))
