"""What optimizers share."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch

from mlpress.errors import RecipeError
from mlpress.nn.arrays import whole
from mlpress.nn.report import Report, compressed_report, rms_error
from mlpress.nn.targets import Target
from mlpress.optimize.torch.optimization_config import OptimizationConfig


class BaseModelOptimizer(ABC):
    """A model, and what to do to it."""

    _supported_modules: ClassVar[tuple[type[torch.nn.Module], ...]]
    _config_class: ClassVar[type[OptimizationConfig]]

    def __init__(self, model: torch.nn.Module, config: Any = None) -> None:
        """Takes a model and a configuration; None is the default one.

        Raises:
            RecipeError: The configuration is for another optimizer.
        """
        config = self._config_class() if config is None else config
        if not isinstance(config, self._config_class):
            raise RecipeError(
                f"{type(self).__name__} takes a {self._config_class.__name__}, not {type(config).__name__}"
            )
        self._model = model
        self._config = config

    @abstractmethod
    def report(self) -> Report:
        """Returns statistics by name of a module or parameter."""

    @property
    def supported_modules(self) -> tuple[type[torch.nn.Module], ...]:
        """Types of the modules that can be compressed."""
        return self._supported_modules

    def _get_model_for_compression(self, inplace: bool) -> torch.nn.Module:
        return self._model if inplace else copy.deepcopy(self._model)


class BaseTrainingTimeModelOptimizer(BaseModelOptimizer):
    """Compresses in training: `prepare`, then `step` after each step of the training, then `finalize`."""

    @abstractmethod
    def prepare(self, *args: Any, **kwargs: Any) -> torch.nn.Module:
        """Returns the model to train."""

    @abstractmethod
    def step(self) -> None:
        """Advances the schedule."""

    @abstractmethod
    def finalize(self, model: torch.nn.Module | None = None, inplace: bool = False) -> torch.nn.Module:
        """Returns the compressed model."""


class BasePostTrainingModelOptimizer(BaseModelOptimizer):
    """Compresses a trained model."""

    def __init__(self, model: torch.nn.Module, config: Any = None) -> None:
        super().__init__(model, config)
        self._started = False
        self._errors: dict[str, float] = {}
        self._skipped: dict[str, str] = {}

    @abstractmethod
    def compress(self, *args: Any, **kwargs: Any) -> torch.nn.Module:
        """Returns the compressed model; the model itself changes only where `inplace` is True."""

    def _start(self, inplace: bool) -> torch.nn.Module:
        """Returns the model to change."""
        self._started = True
        self._model = self._get_model_for_compression(inplace)
        return self._model

    def report(self) -> Report:
        """Returns error and kind of compression for each compressed parameter; empty before `compress`."""
        if not self._started:
            return Report()
        return compressed_report(self._error, self._model, self._skipped)

    def _error(self, name: str, values: torch.Tensor) -> float:
        """Returns the root mean square of the change of a parameter that has some values now."""
        return self._errors.get(name, 0.0)


class BaseDataCalibratedModelOptimizer(BasePostTrainingModelOptimizer):
    """Compresses a trained model with the help of data."""

    def __init__(self, model: torch.nn.Module, config: Any = None) -> None:
        super().__init__(model, config)
        self._uncompressed: dict[str, torch.Tensor] = {}

    @abstractmethod
    def compress(self, dataloader: Any, *args: Any, **kwargs: Any) -> torch.nn.Module:
        """Returns the compressed model; the model itself changes only where `inplace` is True."""

    def _start(self, inplace: bool) -> torch.nn.Module:
        """Returns the model to change, and keeps its weights for the report: new ones take their places."""
        parameters = self._model.named_parameters(remove_duplicate=False)
        self._uncompressed = {name: parameter.data for name, parameter in parameters}
        return super()._start(inplace)

    def _error(self, name: str, values: torch.Tensor) -> float:
        return rms_error(values, whole(self._uncompressed[name]).cpu())


def config_of(config: OptimizationConfig, model: torch.nn.Module, target: Target) -> Any:
    """Returns what to do to a weight, or None.

    The output projection of an attention module is treated as that module is.
    """
    parent, _, name = target.path.rpartition(".")
    owner = model.get_submodule(parent)
    if name == "out_proj" and isinstance(owner, torch.nn.MultiheadAttention):
        return config.get_module_config(parent, owner)
    return config.get_module_config(target.path, target.module)
