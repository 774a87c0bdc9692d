"""Palettization in training."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.utils.parametrize import type_before_parametrizations

from mlpress.errors import NotApplicableError
from mlpress.nn.report import Report, rms_error
from mlpress.nn.targets import Target
from mlpress.nn.training.finish import stacks
from mlpress.nn.training.palettize import Palettization
from mlpress.optimize.torch.palettization.palettization_config import DKM_MODULES, DKMPalettizerConfig
from mlpress.optimize.torch.training import WeightOptimizer


class Palettizer(WeightOptimizer):
    """Palettizes weights in training."""

    _kind = Palettization.kind


class DKMPalettizer(Palettizer):
    """Clusters weights in training by differentiable k-means, so that tables and indices are learned."""

    _supported_modules = DKM_MODULES
    _config_class = DKMPalettizerConfig

    def prepare(self, inplace: bool = False, *, strict: bool = False) -> torch.nn.Module:
        """Returns the model to train, in training mode; a second call changes nothing.

        Args:
            inplace: Whether to change the model itself and not a copy.
            strict: Whether a weight that cannot be palettized as asked is an error.

        Raises:
            RecipeError: Another optimizer has prepared the model, and `inplace` is False.
            StrictError: A weight cannot be palettized as asked; nothing has been changed then.
        """
        if not self._prepared:
            self._start(inplace)
            self._prepare_weights(strict)
            self._model.train()
        return self._model

    def _technique(self, target: Target, weight: torch.Tensor, config: Any) -> Palettization | None:
        configs = config if isinstance(config, list) else [config]
        fitting = [each for each in configs if weight.numel() > each.weight_threshold]
        if not fitting:
            return None
        chosen = fitting[-1]
        if chosen.cluster_permute is not None and len(chosen.cluster_permute) != weight.dim():
            raise NotApplicableError(
                f"cluster_permute {chosen.cluster_permute} is no order of the weight's {weight.dim()} axes"
            )
        return Palettization(weight, chosen.options(type_before_parametrizations(target.module)))

    def enable_fake_palett(self, flag: bool) -> None:
        """Switches palettization on or off for all weights, whatever their milestones."""
        for _, stack in stacks(self._model):
            if stack.palettize is not None:
                stack.palettize.enabled = flag

    def finalize(self, model: torch.nn.Module | None = None, inplace: bool = False) -> torch.nn.Module:
        """Returns the compressed model in evaluation mode; see `WeightOptimizer.finalize`."""
        return super().finalize(model, inplace).eval()

    def report(self) -> Report:
        """Returns device, root mean square error, size and kind of table for each module."""
        rows = {}
        for name, original, weight, technique in self._weights():
            assert isinstance(technique, Palettization)
            options = technique.options
            rows[name] = {
                "device": weight.device,
                "error": rms_error(weight, original),
                "#params": weight.numel(),
                "#dtype": f"num_clusters={1 << options.n_bits}, cluster_dim={options.cluster_dim}, "
                f"lut_dtype={options.table_dtype}",
            }
        return self._report(rows)
