"""What the techniques share that a weight is compressed with in training."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from torch import nn


class Technique(nn.Module, ABC):
    """One way to compress one weight: its state, and its schedule.

    Attributes:
        steps: Steps of the schedule so far; kept in the state dict, so that training can be resumed.
        finished: Whether its optimizer has finalized it: nothing about it is going to change.
    """

    kind: ClassVar[str]
    """``prune``, ``palettize`` or ``quantize``."""

    def __init__(self) -> None:
        super().__init__()
        self.steps = 0
        self.finished = False

    @abstractmethod
    def advance(self, weight: torch.Tensor) -> None:
        """Takes a step of the schedule.

        Args:
            weight: The weight as it is trained.
        """

    def get_extra_state(self) -> Any:
        """Returns what the state dict holds beside tensors."""
        return {"steps": self.steps}

    def set_extra_state(self, state: Any) -> None:
        """Inverse of `get_extra_state`."""
        self.steps = state["steps"]
