"""Quantization of weights and activations in training, or by calibration alone."""

from __future__ import annotations

import copy
import re
from typing import Any, cast

import torch
from torch import fx, nn

from mlpress.errors import UnsupportedModelError
from mlpress.nn.activations.place import Plan, insert
from mlpress.nn.activations.quantizers import ActivationQuantizer, finish, make_quantizer
from mlpress.nn.activations.roles import operation
from mlpress.nn.activations.trace import as_inputs, find_floats, trace
from mlpress.nn.activations.units import Unit, units
from mlpress.nn.devices import device_of, to_device
from mlpress.nn.report import Report, rms_error
from mlpress.nn.targets import CONVOLUTIONS, TRANSPOSED, Target
from mlpress.nn.training.finish import stacks
from mlpress.nn.training.quantize import BatchNormFold, Quantization
from mlpress.nn.training.ranges import RangeObserver
from mlpress.optimize.torch.quantization.quantization_config import (
    LinearQuantizerConfig,
    ModuleLinearQuantizerConfig,
)
from mlpress.optimize.torch.training import WeightOptimizer

_MODULES = (*CONVOLUTIONS, *TRANSPOSED, nn.Linear, nn.Embedding)


class Quantizer(WeightOptimizer):
    """Quantizes weights, and activations perhaps, in training."""

    _kind = Quantization.kind


class LinearQuantizer(Quantizer):
    """Rounds weights and activations to integers and back in training, so that the model gets used to it.

    (Jacob et al. 2018; learned scales after Esser et al. 2020.) Convolutions are rounded with the factors of
    their batch norms, which become part of them in the end. Without training, data fed to the prepared model
    calibrate the ranges.
    """

    _supported_modules = _MODULES
    _config_class = LinearQuantizerConfig

    def prepare(self, example_inputs: Any, inplace: bool = False, *, strict: bool = False) -> nn.Module:
        """Returns the model to train, in training mode; a second call changes nothing.

        Where activations are quantized it is a `torch.fx.GraphModule` with the modules of the model.

        Args:
            example_inputs: Inputs of the model, on any device: a tensor, a tuple, or the shape of its only
                one.
            inplace: Whether to change the model itself and not a copy.
            strict: Whether a weight that cannot be quantized as asked is an error.

        Raises:
            RecipeError: Another optimizer has prepared the model, and `inplace` is False; or the model does
                not take the inputs.
            StrictError: A weight cannot be quantized as asked; no weight is prepared then.
            UnsupportedModelError: Activations are to be quantized, and the model cannot be traced.
        """
        if self._prepared:
            return self._model
        inputs = to_device(as_inputs(example_inputs), device_of(self._model))
        self._start(inplace)
        self._model.train()
        wanted = any(config.activation_dtype != torch.float32 for config in self._config.all_configs())
        graph = self._graph(required=wanted)
        self._folds = {} if graph is None else _folds(graph)
        plan = None
        if graph is not None and wanted:
            plan = self._plan(graph, inputs)
        self._prepare_weights(strict)
        for _, stack in stacks(self._model):
            if stack.quantize is not None and stack.quantize.fold is not None:
                stack.quantize.fold.watch()
        if graph is not None and plan is not None:
            insert(graph, plan, make_quantizer)
            for module in graph.children():
                if isinstance(module, ActivationQuantizer):
                    module.to(device_of(graph))
            self._preserve(self._model, graph)
            self._model = graph
        return self._model

    def _preserve(self, source: nn.Module, target: nn.Module) -> None:
        """Copies the attributes that graph modules, and copies of them, would lose."""
        for name in self._configuration.preserved_attributes:
            computed = getattr(type(source), name, None)
            if isinstance(computed, property) and _holds(computed, target):
                setattr(type(target), name, computed)  # a graph module has a class of its own
                continue
            value = getattr(source, name)
            if isinstance(value, torch.Tensor) and not value.is_leaf:
                value = value.detach()  # what is computed from parameters cannot be copied
            setattr(target, name, value)

    @property
    def _configuration(self) -> LinearQuantizerConfig:
        return cast("LinearQuantizerConfig", self._config)

    def _graph(self, required: bool) -> fx.GraphModule | None:
        try:
            return trace(self._model, self._configuration.non_traceable_module_names)
        except UnsupportedModelError:
            # Weights are quantized all the same; only batch norms are not taken into account.
            if required:
                raise
            return None

    def _plan(self, graph: fx.GraphModule, inputs: tuple[Any, ...]) -> Plan:
        plan = Plan(graph, find_floats(graph, inputs))
        for unit in units(graph):
            config = self._config_of(unit, graph)
            options = None if config is None else config.activations(self._configuration.milestones)
            if options is not None:
                plan.add(unit, options)
        return plan

    def _config_of(self, unit: Unit, graph: fx.GraphModule) -> ModuleLinearQuantizerConfig | None:
        """Returns what to do to a unit: the configuration of its first node."""
        first = unit.first
        if first.op == "call_module":
            name = str(first.target)
            found = self._config.get_module_config(name, graph.get_submodule(name))
        else:
            by_type = self._config.module_type_configs
            found = by_type.get(operation(first, graph), self._config.global_config)
            for pattern, config in reversed(self._config.module_name_configs.items()):
                found = config if re.fullmatch(pattern, first.name) else found
        return cast("ModuleLinearQuantizerConfig | None", found)

    def _technique(self, target: Target, weight: torch.Tensor, config: Any) -> Quantization | None:
        options = config.weights(self._configuration.milestones)
        if options is None:
            return None
        axis = target.layout.require_output_axis(weight.dim())
        norm = self._folds.get(target.module)
        fold = None if norm is None else BatchNormFold(norm, axis)
        return Quantization(weight, options, axis, fold)

    def step(self) -> None:
        """Passes the milestones; call it after each step of the training."""
        super().step()
        for module in self._model.modules():
            if isinstance(module, ActivationQuantizer):
                module.advance()

    def finalize(self, model: nn.Module | None = None, inplace: bool = False) -> nn.Module:
        """Returns the compressed model in evaluation mode; see `WeightOptimizer.finalize`."""
        given = self._model if model is None else model
        finalized = super().finalize(given if inplace else copy.deepcopy(given), inplace=True)
        finish(finalized)
        finalized.eval()
        self._preserve(given, finalized)
        if model is None:
            self._model = finalized
        return finalized

    def enable_observer_sync(self) -> None:
        """Makes ranges those of the tensors of all processes again, as they are at first."""
        self._synchronize(True)

    def disable_observer_sync(self) -> None:
        """Makes ranges those of this process: for an evaluation that others take no part in."""
        self._synchronize(False)

    def _synchronize(self, synchronized: bool) -> None:
        for module in self._model.modules():
            if isinstance(module, RangeObserver):
                module.synchronized = synchronized

    def report(self) -> Report:
        """Returns a row for each weight and each place where activations are rounded."""
        rows: dict[str, dict[str, Any]] = {}
        for name, original, weight, technique in self._weights():
            assert isinstance(technique, Quantization)
            options = technique.options
            rows[name] = {
                "type": "weight",
                "device": weight.device,
                **_described(options),
                "error": rms_error(weight, original),
                "#params": weight.numel(),
            }
        for name, module in self._model.named_modules():
            if isinstance(module, ActivationQuantizer):
                device = module.quantizer.observer.low.device
                described = _described(module.options)
                nothing = {"error": float("nan"), "#params": -1}
                rows[name] = {"type": "activation", "device": device, **described, **nothing}
        return self._report(rows)


def _holds(computed: property, module: nn.Module) -> bool:
    """Whether a property has a value there: a graph module has the submodules, not the methods."""
    try:
        computed.__get__(module, type(module))
    except Exception:  # whatever the user's code raises
        return False
    return True


def _folds(graph: fx.GraphModule) -> dict[nn.Module, nn.Module]:
    """Returns the batch norms that follow modules with weights, for modules that are used once.

    A transposed convolution in groups is left out: its weight has no axis for the output channels of all.
    """
    found = {}
    calls = [node.target for node in graph.graph.nodes if node.op == "call_module"]
    for unit in units(graph):
        norm = unit.norm(graph)
        if norm is not None and calls.count(unit.first.target) == calls.count(unit.nodes[1].target) == 1:
            layer: Any = graph.get_submodule(str(unit.first.target))
            if not (getattr(layer, "transposed", False) and layer.groups > 1):
                found[layer] = norm
    return found


def _described(options: Any) -> dict[str, Any]:
    integers = options.integers
    return {
        "algorithm": "learnable" if options.learned else "vanilla",
        "qscheme": "symmetric" if integers.symmetric else "affine",
        "per_channel": options.per_channel,
        "dtype": torch.qint8 if integers.signed else torch.quint8,
        "qmin": integers.low,
        "qmax": integers.high,
    }
