"""What the layers of a model get as inputs."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable
from itertools import islice
from typing import Any, cast

from torch import nn

from mlpress.errors import RecipeError
from mlpress.nn.calibration.stages import call
from mlpress.nn.devices import to_device
from mlpress.optimize.torch.registry import ClassRegistry


class StopExecution(ValueError):
    """The inputs of the first layer are known; the rest of the model need not run."""


class FirstLayerInputCacher(ClassRegistry, ABC):
    """Finds the inputs of the first layer that is compressed; subclasses are registered by name."""

    def __init__(self, model: nn.Module, layers: Any) -> None:
        self._model = model
        self._layers = layers

    @abstractmethod
    def cache(
        self, dataloader: Iterable[Any], nsamples: int, device: str
    ) -> tuple[list[Any], dict[str, Any]]:
        """Returns the inputs of the first layer, and arguments by name that all layers take."""


@FirstLayerInputCacher.register("default")
class DefaultInputCacher(FirstLayerInputCacher):
    """The data are the inputs."""

    def cache(
        self, dataloader: Iterable[Any], nsamples: int, device: str
    ) -> tuple[list[Any], dict[str, Any]]:
        """Returns the first samples."""
        return [to_device(batch, device) for batch in islice(dataloader, nsamples)], {}


@FirstLayerInputCacher.register("gpt")
class GPTFirstLayerInputCacher(FirstLayerInputCacher):
    """Runs a decoder as far as its first layer, which shows that layer's inputs."""

    def cache(
        self, dataloader: Iterable[Any], nsamples: int, device: str
    ) -> tuple[list[Any], dict[str, Any]]:
        """Returns the inputs of the first layer; arguments by name are those of the last sample."""
        inputs: list[Any] = []
        named: dict[str, Any] = {}

        def catch(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            inputs.append(args)
            named.update(kwargs)
            raise StopExecution

        handle = self._first_layer().register_forward_pre_hook(catch, with_kwargs=True)
        try:
            for batch in islice(dataloader, nsamples):
                try:
                    call(self._model, to_device(batch, device))
                except StopExecution:
                    continue
        finally:
            handle.remove()
        return inputs, named

    def _first_layer(self) -> nn.Module:
        wanted: Any = self._layers
        if isinstance(wanted, (list, nn.ModuleList)) and len(wanted):
            wanted = wanted[0]
        for name, module in self._model.named_modules():
            if matches(wanted, name, module):
                return cast("nn.Module", module)
        raise RecipeError(f"layers is {wanted!r}; no module of the model has that name")


def matches(wanted: str | nn.Module, name: str, module: nn.Module) -> bool:
    """Says whether a module is the one that is wanted, or has a name that the regular expression matches."""
    return bool(re.fullmatch(wanted, name)) if isinstance(wanted, str) else wanted is module
