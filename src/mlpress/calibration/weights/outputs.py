"""The outputs of a module as numbers whose errors can be compared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, fx


class Compared:
    """Takes the floats among the outputs, and the logarithms of probabilities, which do not level off."""

    def __init__(self, module: fx.GraphModule) -> None:
        """Looks for outputs that a softmax makes, also through what a classifier does to them."""
        outputs: Any = module.graph.output_node().args[0]
        self._probabilities = set()
        for name, node in outputs.items():
            source = node.args[0] if node.op == "call_method" and node.target == "flatten" else node
            if source.meta.get("operation") == "softmax":
                self._probabilities.add(name)

    def of(self, outputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Returns what is compared, by the names of the outputs."""
        return {
            name: _logarithm(output) if name in self._probabilities else output
            for name, output in outputs.items()
            if output.is_floating_point()
        }


def _logarithm(probabilities: Tensor) -> Tensor:
    return probabilities.clamp(min=torch.finfo(probabilities.dtype).tiny).log()
