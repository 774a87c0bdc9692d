"""How sparse a weight is at which step."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch

from mlpress.errors import RecipeError


class PruningScheduler(ABC):
    """A schedule; the configuration of the module holds the sparsities at both ends."""

    @abstractmethod
    def compute_sparsity(self, step_count: int, prev_sparsity: float, config: Any) -> float:
        """Returns the sparsity at a step.

        Args:
            step_count: The step, 1 after the first.
            prev_sparsity: The sparsity at the step before.
            config: Has ``initial_sparsity`` and ``target_sparsity``.
        """


@dataclass
class PolynomialDecayScheduler(PruningScheduler):
    """From the initial to the target sparsity by ``target + (initial - target) * (1 - t) ** power``.

    (Zhu and Gupta 2017, "To prune, or not to prune", equation 1.) ``t`` runs from 0 at the first of the
    update steps to 1 at the last; between them the sparsity stays.

    Attributes:
        update_steps: The steps, as integers or as a string such as ``"range(0, 1000, 100)"``.
        power: The exponent.
    """

    update_steps: Any
    power: int = 3

    def __post_init__(self) -> None:
        self.update_steps = torch.tensor(_steps(self.update_steps), dtype=torch.float32)
        if type(self.power) is not int:
            raise RecipeError(f"power is {self.power!r}; allowed: an integer")

    def compute_sparsity(self, step_count: int, prev_sparsity: float, config: Any) -> float:
        """Returns the sparsity at a step; see `PruningScheduler`."""
        steps = self.update_steps.tolist()
        if step_count not in steps:
            return prev_sparsity
        time = 1.0 if len(steps) == 1 else steps.index(step_count) / (len(steps) - 1)
        left = float((1.0 - time) ** self.power)
        return float(config.target_sparsity + (config.initial_sparsity - config.target_sparsity) * left)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, PolynomialDecayScheduler)
            and self.power == other.power
            and torch.equal(self.update_steps, other.update_steps)
        )

    __hash__ = None  # type: ignore[assignment]


@dataclass
class ConstantSparsityScheduler(PruningScheduler):
    """The initial sparsity first, and the target sparsity from one step on.

    Attributes:
        begin_step: The step.
    """

    begin_step: int

    def __post_init__(self) -> None:
        if type(self.begin_step) is not int:
            raise RecipeError(f"begin_step is {self.begin_step!r}; allowed: an integer")

    def compute_sparsity(self, step_count: int, prev_sparsity: float, config: Any) -> float:
        """Returns the sparsity at a step; see `PruningScheduler`."""
        return float(config.target_sparsity) if step_count >= self.begin_step else prev_sparsity


def _steps(given: Any) -> list[int]:
    """Returns steps given as numbers, a tensor, or the text of a range."""
    if isinstance(given, str):
        found = re.fullmatch(r"range\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?(?:,\s*(\d+)\s*)?\)", given)
        if not found:
            raise RecipeError(f"update_steps is {given!r}; allowed: 'range(start, end, step)' or integers")
        given = range(*(int(part) for part in found.groups() if part is not None))
    values = given.tolist() if isinstance(given, torch.Tensor) else given
    if not isinstance(values, Iterable):
        raise RecipeError(f"update_steps is {given!r}; allowed: 'range(start, end, step)' or integers")
    steps = list(values)
    bad = [step for step in steps if int(step) != step or step < 0]
    if bad or not steps:
        raise RecipeError(f"update_steps holds {bad[0] if bad else 'nothing'}; allowed: integers from 0 on")
    return [int(step) for step in steps]
