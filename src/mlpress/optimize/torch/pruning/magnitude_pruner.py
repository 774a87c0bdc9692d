"""Magnitude pruning, in training or at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import torch
from pydantic import BeforeValidator, Field, model_validator
from torch import nn

from mlpress.errors import NotApplicableError
from mlpress.nn.report import Report, sparsities
from mlpress.nn.targets import CONVOLUTIONS, Target
from mlpress.nn.training.prune import PruneOptions, Pruning
from mlpress.optimize.torch.fields import Pair, one_of
from mlpress.optimize.torch.optimization_config import ModuleOptimizationConfig, OptimizationConfig
from mlpress.optimize.torch.pruning.pruning_scheduler import (
    ConstantSparsityScheduler,
    PolynomialDecayScheduler,
    PruningScheduler,
)
from mlpress.optimize.torch.training import WeightOptimizer

_MODULES = (nn.Linear, *CONVOLUTIONS)


def _scheduler(value: Any) -> Any:
    """Makes a schedule of its fields, which say which one it is."""
    if not isinstance(value, Mapping):
        return value
    for kind, fields in (
        (PolynomialDecayScheduler, {"update_steps", "power"}),
        (ConstantSparsityScheduler, {"begin_step"}),
    ):
        if value and set(value) <= fields:
            return kind(**value)
    raise ValueError("allowed fields: begin_step (constant), or update_steps and power (polynomial)")


class ModuleMagnitudePrunerConfig(ModuleOptimizationConfig):
    """How to prune a module.

    Attributes:
        scheduler: How the sparsity goes from the initial to the target one.
        initial_sparsity: Fraction of zeros at the beginning.
        target_sparsity: Fraction of zeros at the end.
        granularity: ``per_scalar``; ``per_kernel`` or ``per_channel`` drop parts of convolutions by their
            Euclidean norm.
        block_size: Neighbours along the output channels that are dropped together; at most half of these.
        n_m_ratio: ``(n, m)``: drop n of each m neighbours along `dim`; `target_sparsity` is n / m then.
        dim: 0 or 1.
        param_name: The parameter; ``weight``.
    """

    scheduler: Annotated[PruningScheduler, BeforeValidator(_scheduler)] = Field(
        default_factory=lambda: ConstantSparsityScheduler(begin_step=0)
    )
    initial_sparsity: Annotated[float, Field(ge=0, le=1)] = 0.0
    target_sparsity: Annotated[float, Field(ge=0, le=1)] = 0.5
    granularity: Annotated[str, one_of("per_scalar", "per_kernel", "per_channel")] = "per_scalar"
    block_size: Annotated[int, Field(ge=1)] = 1
    n_m_ratio: Pair | None = None
    dim: Annotated[int, one_of(0, 1)] = 1
    param_name: Annotated[str, one_of("weight")] = "weight"

    @model_validator(mode="after")
    def _check(self) -> Any:
        if self.n_m_ratio is None:
            return self
        n, m = self.n_m_ratio
        if not (0 <= n <= m and m > 0):
            raise ValueError(f"n_m_ratio is {self.n_m_ratio}; n is 0 to m, and m at least 1")
        if self.block_size > 1 or self.granularity != "per_scalar":
            raise ValueError("n_m_ratio goes with block_size 1 and granularity 'per_scalar' only")
        return self

    def options(self) -> PruneOptions:
        """Returns the same without the schedule."""
        ratio = self.n_m_ratio
        return PruneOptions(
            initial_sparsity=self.initial_sparsity,
            target_sparsity=self.target_sparsity if ratio is None else ratio[0] / ratio[1],
            granularity=self.granularity,
            block_size=self.block_size,
            n_m_ratio=ratio,
            dim=self.dim,
        )


class MagnitudePrunerConfig(OptimizationConfig):
    """Which modules to prune, and how."""

    module_config: ClassVar[type[ModuleMagnitudePrunerConfig]] = ModuleMagnitudePrunerConfig
    supported_modules: ClassVar[tuple[Any, ...] | None] = _MODULES


class MagnitudePruner(WeightOptimizer):
    """Sets the weights of least magnitude to zero, more of them as training goes on.

    (Zhu and Gupta 2017, "To prune, or not to prune".) The mask follows the weights: each time the sparsity
    changes it is made anew, and what was dropped can come back.
    """

    _supported_modules = _MODULES
    _config_class = MagnitudePrunerConfig
    _kind = Pruning.kind

    def prepare(self, inplace: bool = False, *, strict: bool = False) -> torch.nn.Module:
        """Returns the model to train; a second call changes nothing.

        Args:
            inplace: Whether to change the model itself and not a copy.
            strict: Whether a weight that cannot be pruned as asked is an error.

        Raises:
            RecipeError: Another optimizer has prepared the model, and `inplace` is False.
            StrictError: A weight cannot be pruned as asked; nothing has been changed then.
        """
        if not self._prepared:
            self._start(inplace)
            self._prepare_weights(strict)
        return self._model

    def _technique(self, target: Target, weight: torch.Tensor, config: Any) -> Pruning | None:
        if weight.dim() < 2:
            raise NotApplicableError(f"its rank is {weight.dim()}; allowed: 2 or more")
        return Pruning(weight, config.options(), config.scheduler)

    def report(self) -> Report:
        """Returns the sparsities of each module, and of all in the row ``global``."""
        rows: dict[str, dict[str, Any]] = {
            name: {"#params": weight.numel(), **sparsities(weight)} for name, _, weight, _ in self._weights()
        }
        total = sum(row["#params"] for row in rows.values())
        everything: dict[str, Any] = {"#params": total}
        for column in sparsities(torch.zeros(2, 2)):
            known = [row for row in rows.values() if row[column] >= 0]
            weights = sum(row["#params"] for row in known)
            everything[column] = (
                sum(row["#params"] * row[column] for row in known) / weights if weights else -1
            )
        return self._report({**rows, "global": everything})
