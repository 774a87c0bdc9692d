"""Palettization of a trained model without data."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import torch

from mlpress.fit.apply import run
from mlpress.nn.halved import run_halved
from mlpress.nn.metadata import mark_version
from mlpress.nn.post_training import Plan, compress
from mlpress.nn.targets import targets
from mlpress.optimize.torch.base_model_optimizer import BasePostTrainingModelOptimizer
from mlpress.optimize.torch.fields import one_of
from mlpress.optimize.torch.optimization_config import OptimizationConfig, PalettizationGranularity
from mlpress.optimize.torch.palettization.fields import KMEANS_MODULES, KMeansConfig

__all__ = [
    "ModulePostTrainingPalettizerConfig",
    "PalettizationGranularity",
    "PostTrainingPalettizer",
    "PostTrainingPalettizerConfig",
]


class ModulePostTrainingPalettizerConfig(KMeansConfig):
    """How to palettize a module.

    Attributes:
        enable_fast_kmeans_mode: Up to 6 bits, cluster float32 weights rounded to float16, which is many times
            faster. The squared error is within 0.1 % of the optimum, which False finds.
        rounding_precision: Taken for compatibility: weights are not rounded further.
    """

    n_bits: Annotated[int, one_of(1, 2, 3, 4, 6, 8)] = 4
    enable_fast_kmeans_mode: bool = True
    rounding_precision: int = 4


class PostTrainingPalettizerConfig(OptimizationConfig):
    """Which modules to palettize, and how."""

    module_config: ClassVar[type[ModulePostTrainingPalettizerConfig]] = ModulePostTrainingPalettizerConfig


class PostTrainingPalettizer(BasePostTrainingModelOptimizer):
    """Palettizes the weights of a trained model by exact k-means.

    Of weights that are pruned already only what is left is clustered; integers of quantized ones get tables
    of integers.
    """

    _supported_modules = KMEANS_MODULES
    _config_class = PostTrainingPalettizerConfig

    def compress(
        self, num_kmeans_workers: int = 1, inplace: bool = False, *, strict: bool = False
    ) -> torch.nn.Module:
        """Returns the palettized model.

        Args:
            num_kmeans_workers: Weights to work on at a time.
            inplace: Whether to change the model itself and not a copy.
            strict: Whether a weight that cannot be palettized as asked is an error.

        Raises:
            StrictError: There is such a weight; nothing has been changed then.
        """
        model = self._start(inplace)
        plans = []
        for target in targets(model, self._supported_modules):
            config: Any = self._config.get_module_config(target.path, target.module)
            if config is not None:
                solve = run_halved if config.enable_fast_kmeans_mode else run
                plans.append(Plan(target, config.stages(), solve))
        outcome = compress(plans, num_kmeans_workers, strict)
        self._errors, self._skipped = outcome.errors, outcome.skipped
        mark_version(model)
        return model
