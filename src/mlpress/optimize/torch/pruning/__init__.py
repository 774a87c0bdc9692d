"""Pruning: weights become zero, and the others are stored beside a bit mask."""

from mlpress.optimize.torch.pruning.magnitude_pruner import (
    MagnitudePruner,
    MagnitudePrunerConfig,
    ModuleMagnitudePrunerConfig,
)
from mlpress.optimize.torch.pruning.pruning_scheduler import (
    ConstantSparsityScheduler,
    PolynomialDecayScheduler,
)

__all__ = [
    "ConstantSparsityScheduler",
    "MagnitudePruner",
    "MagnitudePrunerConfig",
    "ModuleMagnitudePrunerConfig",
    "PolynomialDecayScheduler",
]
