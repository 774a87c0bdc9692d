"""Compression of a trained model layer by layer, from the inputs that each layer sees."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, ClassVar, cast

import torch
from pydantic import BeforeValidator, Field
from torch import nn

from mlpress.errors import RecipeError
from mlpress.nn.calibration.stages import Stage, run_chain, run_whole
from mlpress.nn.calibration.work import LayerAlgorithm, LayerWork
from mlpress.nn.devices import device_of
from mlpress.nn.metadata import mark_version
from mlpress.optimize.torch.base_model_optimizer import BaseDataCalibratedModelOptimizer
from mlpress.optimize.torch.layerwise_compression.algorithms import (
    LayerwiseCompressionAlgorithm,
    LayerwiseCompressionAlgorithmConfig,
)
from mlpress.optimize.torch.layerwise_compression.input_cacher import (
    DefaultInputCacher,
    FirstLayerInputCacher,
    matches,
)
from mlpress.optimize.torch.optimization_config import OptimizationConfig

_MODULES = (nn.Conv2d, nn.Linear)


def _layers(value: Any) -> Any:
    if value is None or isinstance(value, nn.ModuleList):
        return value
    if not isinstance(value, list) or not all(isinstance(entry, (str, nn.Module)) for entry in value):
        raise ValueError("allowed: a list of modules, or of names or regular expressions of names")
    return value


class LayerwiseCompressorConfig(OptimizationConfig):
    """Which layers to compress, and how.

    Attributes:
        layers: Modules, or their names as regular expressions, whose layers are compressed together, in
            order; None is the children of the model, or the model itself if it has none.
        input_cacher: ``default`` (the data are inputs of the model), ``gpt`` (of a decoder whose layers are
            a chain), or a subclass of `FirstLayerInputCacher`.
        calibration_nsamples: Samples to use.
    """

    module_config: ClassVar[type[Any]] = LayerwiseCompressionAlgorithmConfig
    first_arguments: ClassVar[tuple[str, ...]] = ("layers",)

    layers: Annotated[Any, BeforeValidator(_layers)] = None
    input_cacher: Annotated[Any, BeforeValidator(FirstLayerInputCacher.get_class)] = Field(default="default")
    calibration_nsamples: Annotated[int, Field(ge=1)] = 128

    def _set_defaults(self) -> None:
        """Nothing is compressed unless a configuration says so."""

    @classmethod
    def make(cls, value: Any) -> Any:
        """Returns a module's configuration, made from its fields if need be, or None."""
        if isinstance(value, Mapping):
            kind: type[Any] = LayerwiseCompressionAlgorithmConfig.get_class(value.get("algorithm"))
            return kind.from_dict(value)
        return super().make(value)

    def get_layers(self, model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
        """Yields (name, module) of the modules whose layers are compressed together."""
        if self.layers is None:
            yield from list(model.named_children()) or [("", model)]
            return
        for name, module in model.named_modules():
            if any(matches(each, name, module) for each in self.layers):
                yield name, module


def _is_chain(model: nn.Module, config: LayerwiseCompressorConfig) -> bool:
    return type(model) is nn.Sequential and config.layers is None


class LayerwiseCompressor(BaseDataCalibratedModelOptimizer):
    """Compresses layers so that their outputs change least; each sees what those before it make then.

    Models need not be sequences of layers: with the default input cacher the model itself is run.
    """

    _supported_modules = _MODULES
    _config_class = LayerwiseCompressorConfig

    def compress(
        self, dataloader: Iterable[Any], device: str, inplace: bool = False, *, strict: bool = False
    ) -> nn.Module:
        """Returns the compressed model, on the CPU.

        Args:
            dataloader: Inputs of the model: a tensor, a tuple or a mapping each.
            device: Where to compute; the model stays where it was.
            inplace: Whether to change the model itself and not a copy.
            strict: Whether a layer that cannot be compressed as asked is an error.

        Raises:
            RecipeError: There are no data, or `layers` matches nothing.
            StrictError: A layer cannot be compressed as asked; layers before it have been.
        """
        given = self._model
        model = self._start(inplace)
        config = cast("LayerwiseCompressorConfig", self._config)
        config = config.model_copy(update={"layers": _counterparts(config.layers, given, model)})
        modes = [(module, module.training) for module in model.modules()]
        home = device_of(model)
        model.eval().to(device)
        try:
            with torch.no_grad():
                self._run(model, config, dataloader, device, strict)
        finally:
            model.to(home)
            for module, mode in modes:
                module.training = mode
        mark_version(model)
        return model

    def _run(
        self,
        model: nn.Module,
        config: LayerwiseCompressorConfig,
        dataloader: Iterable[Any],
        device: str,
        strict: bool,
    ) -> None:
        cacher = config.input_cacher(model, config.layers)
        batches, named = cacher.cache(dataloader, config.calibration_nsamples, device)
        if not batches:
            raise RecipeError("the dataloader has no samples; layers are compressed from at least one")
        stages = self._stages(model, config)
        layers = {name: layer for stage in stages for name, layer in stage.layers.items()}
        if not layers:
            raise RecipeError(f"layers is {config.layers!r}; it matches no module with layers to compress")
        work = LayerWork(model, layers, lambda name: self._start_layer(name, layers[name]), strict)
        self._skipped = work.skipped
        if isinstance(cacher, DefaultInputCacher) and not _is_chain(model, config):
            run_whole(model, stages, batches, work.seen, work.compress)
        else:
            run_chain(stages, batches, named, work.seen, work.compress)

    def _stages(self, model: nn.Module, config: LayerwiseCompressorConfig) -> list[Stage]:
        """Returns the stages; layers that share a weight belong to the first that has one of them."""
        found = [
            (name, module, self._wanted(name, module))
            for given in config.get_layers(model)
            for name, module in _called(*given)
        ]
        by_weight: dict[int, dict[str, nn.Module]] = {}
        for _, _, layers in found:
            for path, layer in layers.items():
                sharing = by_weight.setdefault(id(layer.weight), {})
                if layer not in sharing.values():
                    sharing[path] = layer
        stages = []
        for name, module, layers in found:
            groups = [by_weight.pop(id(layer.weight), {}) for layer in layers.values()]
            stages.append(
                Stage(name, module, {path: each for group in groups for path, each in group.items()})
            )
        return stages

    def _wanted(self, name: str, module: nn.Module) -> dict[str, nn.Module]:
        """Returns the layers that are to be compressed in a module, by name in the model."""
        return {
            path: layer
            for path, layer in module.named_modules(prefix=name)
            if isinstance(layer, _MODULES) and self._algorithm(path, layer) is not None
        }

    def _start_layer(self, name: str, layer: nn.Module) -> LayerAlgorithm:
        """Returns what watches and compresses a layer."""
        config: Any = self._algorithm(name, layer)
        kind: type[Any] = LayerwiseCompressionAlgorithm.get_class(config.algorithm)
        return cast("LayerAlgorithm", kind(layer, config))

    def _algorithm(self, path: str, layer: nn.Module) -> LayerwiseCompressionAlgorithmConfig | None:
        config: LayerwiseCompressionAlgorithmConfig | None = self._config.get_module_config(path, layer)
        return None if config is None or config.is_identity else config


def _counterparts(layers: Any, given: nn.Module, model: nn.Module) -> Any:
    """Returns layers with the modules of a copy in the place of those of the model that was copied."""
    names = {module: name for name, module in given.named_modules()}
    return layers and [model.get_submodule(names[each]) if each in names else each for each in layers]


def _called(name: str, module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Yields a module, or instead of a list of modules, which is never called, what it holds."""
    if not isinstance(module, (nn.ModuleList, nn.ModuleDict)):
        yield name, module
        return
    for child, held in module.named_children():
        yield from _called(f"{name}.{child}", held)
