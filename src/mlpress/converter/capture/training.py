"""Programs that were recorded in training mode."""

from __future__ import annotations

import warnings
from typing import Any, Final

from torch import fx
from torch._ops import OpOverload

from mlpress.converter.capture.errors import CaptureError
from mlpress.converter.capture.source import source_of

_DROPOUTS: Final = frozenset(
    {"aten::dropout", "aten::feature_dropout", "aten::alpha_dropout", "aten::native_dropout"}
)
_TRAINING_ONLY: Final = frozenset(
    {"aten::_native_batch_norm_legit_functional", "aten::_native_batch_norm_legit"}
)


def check_mode(graph: fx.Graph) -> None:
    """Looks for operators that a program has in training mode only.

    Warns of dropout, which is going to be left out.

    Raises:
        CaptureError: There is batch normalization by the statistics of the batch.
    """
    for node in graph.nodes:
        if not isinstance(node.target, OpOverload):
            continue
        name = node.target._schema.name
        if name in _TRAINING_ONLY or (name == "aten::batch_norm" and _uses_batch(*node.args)):
            raise CaptureError(
                f"the program was recorded in training mode (batch normalization in {source_of(node)}); "
                "call eval() on the model and record it again"
            )
    if any(_drops(node) for node in graph.nodes):
        warnings.warn("the program was recorded in training mode; its dropout is left out", stacklevel=4)


def _uses_batch(x: Any, weight: Any, bias: Any, mean: Any, variance: Any, training: bool, *_: Any) -> bool:
    """Without running statistics, a layer goes by the batch in evaluation mode, too."""
    return training and mean is not None


def _drops(node: fx.Node) -> bool:
    is_dropout = isinstance(node.target, OpOverload) and node.target._schema.name in _DROPOUTS
    return is_dropout and len(node.args) > 2 and bool(node.args[2])
