"""Which operations are computed how: one place for all choices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import torch
from torch import fx

from mlpress.runtime.fast.coded import to_codes
from mlpress.runtime.fast.encoded_linear import keep_linear_encoded
from mlpress.runtime.fast.encoded_rows import keep_rows_encoded
from mlpress.runtime.fast.fusions import fuse
from mlpress.runtime.fast.integer_product import multiplies_exactly, multiply_integers
from mlpress.runtime.fast.nodes import kind
from mlpress.runtime.parts import Parts

_MARK: Final = "fast"

_Rewrite = Callable[[fx.Graph, Parts, fx.Node], None]

_ON_ENCODED: Final[dict[str, _Rewrite]] = {
    "conv": keep_linear_encoded,
    "gather": keep_rows_encoded,
    "linear": keep_linear_encoded,
}
"""What takes a weight as it is stored."""

_ON_INTEGERS: Final[dict[str, _Rewrite]] = {"conv": multiply_integers, "linear": multiply_integers}
"""What torch computes in whole numbers on CUDA."""


def use_fast_kernels(graph: fx.Graph, parts: Parts, device: torch.device) -> None:
    """Lets the operations of `graph`, which `mlpress.runtime.build` made, use those of `device`, if any."""
    choose = _DEVICES.get(device.type)
    if choose is None:
        return
    before = set(graph.nodes)
    choose(graph, parts, device)
    for node in graph.nodes:
        if node not in before:
            node.meta[_MARK] = True


def uses_fast_kernels(module: fx.GraphModule) -> bool:
    """Whether any operation of `module` does."""
    graphs = (part.graph for part in module.modules() if isinstance(part, fx.GraphModule))
    return any(_MARK in node.meta for graph in graphs for node in graph.nodes)


def _on_cpu(graph: fx.Graph, parts: Parts, _: torch.device) -> None:
    fuse(to_codes(graph, parts))
    _each(graph, parts, _ON_ENCODED)


def _on_cuda(graph: fx.Graph, parts: Parts, device: torch.device) -> None:
    if multiplies_exactly(device):
        _each(graph, parts, _ON_INTEGERS)


def _each(graph: fx.Graph, parts: Parts, rewrites: dict[str, _Rewrite]) -> None:
    for node in list(graph.nodes):
        if kind(node) in rewrites:
            rewrites[kind(node)](graph, parts, node)


_DEVICES: Final = {"cpu": _on_cpu, "cuda": _on_cuda}
