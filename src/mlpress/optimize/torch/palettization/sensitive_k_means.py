"""Palettization of a trained model with the help of gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar, cast

import torch
from torch import nn

from mlpress.encoding import Encoding
from mlpress.errors import EncodingError, NonFiniteWeightError, NotApplicableError, RecipeError
from mlpress.nn.arrays import to_numpy
from mlpress.nn.calibration.sensitivity import sensitivities
from mlpress.nn.calibration.weighted import palettize_weighted
from mlpress.nn.metadata import mark_version, store
from mlpress.nn.post_training import check_strict, stored
from mlpress.nn.targets import Target, owners, targets
from mlpress.optimize.torch.base_model_optimizer import BaseDataCalibratedModelOptimizer, config_of
from mlpress.optimize.torch.optimization_config import OptimizationConfig, PalettizationGranularity
from mlpress.optimize.torch.palettization.fields import KMEANS_MODULES, KMeansConfig
from mlpress.recipe import Palettize, Quantize

__all__ = ["ModuleSKMPalettizerConfig", "PalettizationGranularity", "SKMPalettizer", "SKMPalettizerConfig"]


class ModuleSKMPalettizerConfig(KMeansConfig):
    """How to palettize a module."""


class SKMPalettizerConfig(OptimizationConfig):
    """Which modules to palettize, and how.

    Attributes:
        calibration_nsamples: Samples to compute sensitivities from.
    """

    module_config: ClassVar[type[ModuleSKMPalettizerConfig]] = ModuleSKMPalettizerConfig

    calibration_nsamples: int = 128


class SKMPalettizer(BaseDataCalibratedModelOptimizer):
    """Palettizes weights by exact k-means in which weights count by how much the loss depends on them.

    (Kim et al. 2023, "SqueezeLLM".) Memory is linear in the weights.
    """

    _supported_modules = KMEANS_MODULES
    _config_class = SKMPalettizerConfig

    def compute_sensitivity(
        self,
        dataloader: Iterable[Any],
        loss_fn: Callable[[nn.Module, Any], torch.Tensor],
        sensitivity_path: str | None = None,
        num_sensitivity_workers: int = 1,
        fsdp_auto_wrap_policy: Any = None,
    ) -> dict[str, torch.Tensor]:
        """Returns how much the loss depends on each element of each parameter, between 1e-12 and 1.

        Args:
            dataloader: Samples.
            loss_fn: Takes the model and a sample, and returns the loss.
            sensitivity_path: Where to save the result, too.
            num_sensitivity_workers: Taken for compatibility: gradients are computed by this process.
            fsdp_auto_wrap_policy: Likewise.

        Raises:
            RecipeError: There are no samples, or a gradient is not finite.
        """
        config = cast("SKMPalettizerConfig", self._config)
        found = sensitivities(self._model, dataloader, loss_fn, config.calibration_nsamples)
        if sensitivity_path is not None:
            torch.save(found, sensitivity_path)
        return found

    def compress(
        self,
        dataloader: Iterable[Any] | None = None,
        loss_fn: Callable[[nn.Module, Any], torch.Tensor] | None = None,
        sensitivity_path: str | None = None,
        num_kmeans_workers: int = 1,
        num_sensitivity_workers: int = 1,
        inplace: bool = False,
        fsdp_auto_wrap_policy: Any = None,
        *,
        strict: bool = False,
    ) -> nn.Module:
        """Returns the palettized model.

        Args:
            dataloader: Samples; not needed where `sensitivity_path` has what an earlier call computed.
            loss_fn: Takes the model and a sample, and returns the loss; likewise.
            sensitivity_path: Sensitivities are loaded from here, or saved here if there is no such file.
            num_kmeans_workers: Weights to work on at a time.
            num_sensitivity_workers: Taken for compatibility.
            inplace: Whether to change the model itself and not a copy.
            fsdp_auto_wrap_policy: Taken for compatibility.
            strict: Whether a weight that cannot be palettized as asked is an error.

        Raises:
            RecipeError: There are neither sensitivities nor data to compute them from, or the file holds
                something else.
            StrictError: A weight cannot be palettized as asked; nothing has been changed then.
        """
        model = self._start(inplace)
        known = _by_parameter(model, self._sensitivities(dataloader, loss_fn, sensitivity_path))
        jobs: dict[int, tuple[Target, Any]] = {}
        for target in targets(model, self._supported_modules):
            config = config_of(self._config, model, target)
            if config is not None:
                jobs.setdefault(id(target.values), (target, config))
        with ThreadPoolExecutor(max(1, num_kmeans_workers)) as pool:
            results = list(pool.map(lambda job: _fit(job[0], job[1], known), jobs.values()))
        found = dict(zip(jobs, results, strict=True))
        self._skipped = {
            jobs[weight][0].name: reason for weight, reason in found.items() if isinstance(reason, str)
        }
        check_strict(self._skipped, strict)
        holders = owners(model)
        for weight, encoding in found.items():
            if not isinstance(encoding, str):
                for module, parameter in holders[weight]:
                    store(module, parameter, encoding)
        mark_version(model)
        return model

    def _sensitivities(
        self, dataloader: Any, loss_fn: Any, sensitivity_path: str | None
    ) -> dict[str, torch.Tensor]:
        if sensitivity_path is not None and Path(sensitivity_path).exists():
            loaded = torch.load(sensitivity_path, map_location="cpu", weights_only=True)
            if not isinstance(loaded, dict):
                raise RecipeError(f"{sensitivity_path} holds no tensors by name of the parameter")
            return loaded
        if dataloader is None or loss_fn is None:
            raise RecipeError("give dataloader and loss_fn, or the sensitivity_path of a file that is there")
        return self.compute_sensitivity(dataloader, loss_fn, sensitivity_path)


def _by_parameter(model: nn.Module, sensitivities: dict[str, torch.Tensor]) -> dict[int, torch.Tensor]:
    """Returns sensitivities by the parameter's id: one that is shared has several names."""
    parameters = model.named_parameters(remove_duplicate=False)
    return {id(each): sensitivities[name] for name, each in parameters if name in sensitivities}


def _fit(target: Target, config: KMeansConfig, known: dict[int, torch.Tensor]) -> Encoding | str:
    palettize, *quantize = config.stages()
    importance = known.get(id(target.values))
    if importance is None:
        return "there is no sensitivity of it: it needs no gradient"
    if importance.shape != target.values.shape:
        return (
            f"its sensitivity has shape {tuple(importance.shape)}; {tuple(target.values.shape)} is expected"
        )
    if not torch.isfinite(importance).all() or (importance < 0).any():
        return "its sensitivity is negative or not finite somewhere"
    assert isinstance(palettize, Palettize)
    table = next((stage for stage in quantize if isinstance(stage, Quantize)), None)
    try:
        return palettize_weighted(palettize, table, stored(target), to_numpy(importance), 0)
    except (NotApplicableError, NonFiniteWeightError, EncodingError) as reason:
        return f"palettize: {reason}"
