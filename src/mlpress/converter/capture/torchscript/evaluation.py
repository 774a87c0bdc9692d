"""Evaluation mode for traces of training mode, which state it as a constant of each operator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

_DROPOUTS: Final = frozenset({"aten::dropout", "aten::feature_dropout", "aten::alpha_dropout"})


def counts_batches(node: Any, kind: str) -> bool:
    """Whether a node counts the batches that a batch norm has seen, which it does in training only."""
    if kind != "aten::add_":
        return False
    counter = node.inputsAt(0).node()
    return bool(counter.kind() == "prim::GetAttr" and counter.s("name") == "num_batches_tracked")


def in_evaluation(kind: str, args: Sequence[Any]) -> list[Any]:
    """Returns arguments with which an operator does what it does in evaluation.

    A batch norm without running statistics goes by the batch there, too.
    """
    found = list(args)
    if kind in _DROPOUTS:
        found[2] = False
    elif kind == "aten::batch_norm" and found[3] is not None:
        found[5] = False
    return found
