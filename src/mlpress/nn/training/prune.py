"""Magnitude pruning in training (Zhu and Gupta 2017; n:m after Zhou et al. 2021)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from mlpress.encoding import Encoding, decode
from mlpress.nn.arrays import whole
from mlpress.nn.training.masks import magnitude_mask, n_m_mask
from mlpress.nn.training.schedules import ConstantSparsityScheduler, PruningScheduler
from mlpress.nn.training.technique import Technique


@dataclass(frozen=True, slots=True)
class PruneOptions:
    """How to prune a weight.

    Attributes:
        initial_sparsity: Fraction that is dropped before the first step.
        target_sparsity: Fraction that is dropped in the end.
        granularity: ``per_scalar``, ``per_kernel`` or ``per_channel``.
        block_size: Neighbours along the output channels that are dropped together.
        n_m_ratio: ``(n, m)``: drop n of each m along `dim`; n grows with the schedule.
        dim: 0 or 1.
    """

    initial_sparsity: float = 0.0
    target_sparsity: float = 0.5
    granularity: str = "per_scalar"
    block_size: int = 1
    n_m_ratio: tuple[int, int] | None = None
    dim: int = 1

    def mask(self, weight: torch.Tensor, sparsity: float) -> torch.Tensor:
        """Returns what is kept of a weight (bool) at a sparsity.

        Raises:
            NotApplicableError: The pattern does not fit the weight.
        """
        if self.n_m_ratio is None:
            return magnitude_mask(weight, sparsity, self.granularity, self.block_size)
        m = self.n_m_ratio[1]
        n = int(sparsity * m + 1e-6)  # 29 / 100 * 100 is less than 29
        return n_m_mask(weight, n, m, self.dim) if n else magnitude_mask(weight, sparsity)


class Pruning(Technique):
    """Drops weights; a mask follows the schedule, and what it drops can come back.

    Attributes:
        mask: bool, True for what is kept.
        sparsity: Fraction that the schedule drops now.
    """

    kind = "prune"
    mask: torch.Tensor

    def __init__(self, weight: torch.Tensor, options: PruneOptions, schedule: PruningScheduler) -> None:
        """Makes the first mask.

        Raises:
            NotApplicableError: The pattern does not fit the weight.
        """
        super().__init__()
        self.options = options
        self.schedule = schedule
        self.sparsity = options.initial_sparsity
        self.register_buffer("mask", options.mask(whole(weight), self.sparsity))

    @classmethod
    def keeping(cls, encoding: Encoding, weight: torch.Tensor) -> Pruning:
        """Makes a mask of what a pruned weight has, which stays: what it dropped stays dropped.

        Args:
            encoding: How the weight is stored.
            weight: The weight.
        """
        kept = torch.from_numpy(decode(encoding) != 0)
        sparsity = 1 - float(kept.float().mean())
        options = PruneOptions(initial_sparsity=sparsity, target_sparsity=sparsity)
        made = cls(weight, options, ConstantSparsityScheduler(0))
        made.mask.copy_(kept)
        made.finished = True
        return made

    def advance(self, weight: torch.Tensor) -> None:
        """Takes a step of the schedule; makes a new mask where the sparsity changes."""
        self.steps += 1
        sparsity = self.schedule.compute_sparsity(self.steps, self.sparsity, self.options)
        if sparsity != self.sparsity:
            self.sparsity = sparsity
            self.mask.copy_(self.options.mask(whole(weight), sparsity))

    def keeps_vectors(self, axis: int, length: int) -> bool:
        """Says whether vectors of neighbours along an axis are kept and dropped as a whole, now and later."""
        if self.finished:
            moved = self.mask.movedim(axis, 0)
            vectors = moved.reshape(-1, length, *moved.shape[1:])
            return bool((vectors == vectors[:, :1]).all())
        blocks = self.options.n_m_ratio is None and self.options.block_size % length == 0
        return length == 1 or (axis == 0 and blocks)

    def get_extra_state(self) -> Any:
        """Returns steps and sparsity."""
        return {**super().get_extra_state(), "sparsity": self.sparsity}

    def set_extra_state(self, state: Any) -> None:
        """Inverse of `get_extra_state`."""
        super().set_extra_state(state)
        self.sparsity = state["sparsity"]
