"""Schedules of sparsity."""

from mlpress.nn.training.schedules import (
    ConstantSparsityScheduler,
    PolynomialDecayScheduler,
    PruningScheduler,
)

__all__ = ["ConstantSparsityScheduler", "PolynomialDecayScheduler", "PruningScheduler"]
