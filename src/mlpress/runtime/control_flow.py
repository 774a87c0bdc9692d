"""Modules that hold the nested blocks of control flow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn


class Cond(nn.Module):
    """Runs one of two blocks. A block takes the outer values that both of them use, and returns a tuple."""

    def __init__(self, if_true: nn.Module, if_false: nn.Module) -> None:
        super().__init__()
        self.if_true = if_true
        self.if_false = if_false

    def forward(self, predicate: Tensor, captured: Sequence[Any]) -> tuple[Any, ...]:
        branch = self.if_true if bool(predicate) else self.if_false
        outputs: tuple[Any, ...] = branch(*captured)
        return outputs


class While(nn.Module):
    """Runs `body` while `condition` holds. Both take the loop's values, then the outer values they use."""

    def __init__(self, condition: nn.Module, body: nn.Module) -> None:
        super().__init__()
        self.condition = condition
        self.body = body

    def forward(self, loop_values: Sequence[Any], captured: Sequence[Any]) -> tuple[Any, ...]:
        values = tuple(loop_values)
        while bool(self.condition(*values, *captured)[0]):
            values = self.body(*values, *captured)
        return values
