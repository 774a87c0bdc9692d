"""The parametrization of a weight by all techniques that it is compressed with."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from typing import Any, cast

import torch
from torch import nn
from torch.nn.utils import parametrize

from mlpress.encoding import Encoding
from mlpress.errors import NotApplicableError
from mlpress.nn.training.encode import encode
from mlpress.nn.training.palettize import Palettization
from mlpress.nn.training.prune import Pruning
from mlpress.nn.training.quantize import Quantization
from mlpress.nn.training.technique import Technique


class Stack(nn.Module):
    """Maps the float weight to its compressed value.

    The techniques act in the order in which a weight is stored, whatever order they were added in: what
    pruning leaves is palettized, and quantization then rounds the tables instead of the weights.
    """

    def __init__(self) -> None:
        super().__init__()
        self.techniques = nn.ModuleDict()

    @property
    def prune(self) -> Pruning | None:
        return cast("Pruning | None", self._get(Pruning.kind))

    @property
    def palettize(self) -> Palettization | None:
        return cast("Palettization | None", self._get(Palettization.kind))

    @property
    def quantize(self) -> Quantization | None:
        return cast("Quantization | None", self._get(Quantization.kind))

    def __iter__(self) -> Iterator[Technique]:
        """Yields the techniques."""
        return cast("Iterator[Technique]", iter(self.techniques.values()))

    def _get(self, kind: str) -> nn.Module | None:
        return self.techniques[kind] if kind in self.techniques else None  # noqa: SIM401 (it has no get)

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        """Returns the compressed value, of the shape and type of the weight."""
        mask = None if self.prune is None else self.prune.mask
        value = weight if mask is None else torch.where(mask, weight, 0)
        if self.palettize is not None and self.palettize.enabled:
            palettized: torch.Tensor = self.palettize(value, mask, self.table_levels)
            return palettized
        if self.quantize is None:
            return value
        quantized: torch.Tensor = self.quantize(value)
        return quantized

    @property
    def table_levels(self) -> int:
        """Largest integer of the tables' entries, which are in -levels..levels; 0 for floats."""
        if self.quantize is not None and self.quantize.enabled:
            return self.quantize.levels
        return 0

    def advance(self, kind: str, weight: torch.Tensor) -> None:
        """Takes a step of the schedule of one technique.

        Args:
            kind: Which.
            weight: The weight as it is trained.
        """
        sparsity = None if self.prune is None else self.prune.sparsity
        cast("Technique", self.techniques[kind]).advance(weight)
        if self.prune is not None and self.palettize is not None and self.prune.sparsity != sparsity:
            # What is left is of other magnitudes; entries for the rest would never be used again.
            self.palettize.started = False

    def encoding(self, weight: torch.Tensor) -> Encoding:
        """Returns how the compressed value is stored.

        Args:
            weight: The weight as it is trained, not sharded.
        """
        return encode(weight.detach(), self.prune, self.palettize, self.quantize)


def stack_of(module: nn.Module, parameter: str) -> Stack | None:
    """Returns the parametrization of a weight, or None if it is not prepared for compression."""
    if not parametrize.is_parametrized(module, parameter):
        return None
    last = cast("nn.ModuleDict", module.parametrizations)[parameter][-1]  # type: ignore[index]
    return last if isinstance(last, Stack) else None


def original_of(module: nn.Module, parameter: str) -> torch.Tensor:
    """Returns the weight of a module as it is trained."""
    if parametrize.is_parametrized(module, parameter):
        return cast("torch.Tensor", cast("Any", module.parametrizations)[parameter].original)
    return module.get_parameter(parameter)


def add(module: nn.Module, parameter: str, technique: Technique, stack: Stack | None = None) -> Stack:
    """Compresses a weight with one more technique.

    Args:
        module: Its module.
        parameter: Its name there.
        technique: What is added; one of the same kind is replaced.
        stack: The parametrization of the same weight in another module, if it is shared.

    Returns:
        The parametrization.
    """
    present = stack_of(module, parameter)
    if present is None:
        present = stack or Stack()
        parametrize.register_parametrization(module, parameter, present, unsafe=True)
        _show_pruning(type(module), parameter)
        _make_copyable(type(module))
    present.techniques[technique.kind] = technique
    return present


def require_together(techniques: Iterable[Technique]) -> None:
    """Checks that techniques go together.

    Raises:
        NotApplicableError: Zeros would come back, in vectors that pruning drops in part.
    """
    found = {technique.kind: technique for technique in techniques}
    prune, palettize = found.get(Pruning.kind), found.get(Palettization.kind)
    if isinstance(prune, Pruning) and isinstance(palettize, Palettization):
        axis, length = palettize.options.axis, palettize.options.cluster_dim
        if not prune.keeps_vectors(axis, length):
            raise NotApplicableError(
                f"its mask cuts through vectors of {length} along axis {axis}, which can only be kept or "
                f"dropped whole: prune with block_size {length}"
            )


def remove(module: nn.Module, parameter: str) -> None:
    """Takes the parametrization away; the parameter is the one that was trained."""
    only = len(cast("Any", module.parametrizations)[parameter]) == 1
    parametrize.remove_parametrizations(module, parameter, leave_parametrized=not only)


def _show_pruning(kind: type[nn.Module], parameter: str) -> None:
    """Gives the class that torch made for one parametrized module what `torch.nn.utils.prune` has.

    Code that watches a training finds the mask and the weight as it is trained under the names there.
    """

    def pruning(module: nn.Module) -> Pruning:
        stack = stack_of(module, parameter)
        if stack is None or stack.prune is None:
            raise AttributeError(f"{parameter} is not pruned")
        return stack.prune

    def mask(module: nn.Module) -> torch.Tensor:
        return pruning(module).mask.to(original_of(module, parameter).dtype)

    def original(module: nn.Module) -> torch.Tensor:
        pruning(module)
        return original_of(module, parameter)

    setattr(kind, f"{parameter}_mask", property(mask))
    setattr(kind, f"{parameter}_orig", property(original))


def _make_copyable(kind: type[nn.Module]) -> None:
    """Teaches the class that torch made for one parametrized module to be copied and pickled.

    Copies get classes of their own: with a common one, taking the parametrization of one away would break
    the other.
    """
    kind.__reduce_ex__ = _reduce  # type: ignore[method-assign, assignment]
    kind.__deepcopy__ = _deepcopy  # type: ignore[attr-defined]


def _parts(module: nn.Module) -> tuple[type[nn.Module], dict[str, Any], dict[str, Any]]:
    """Takes a module apart: its class without parametrizations, its attributes, its parametrized weights."""
    state = dict(module.__dict__)
    state["_modules"] = {name: child for name, child in module._modules.items() if name != "parametrizations"}
    weights = {
        name: (parametrizations.original, list(parametrizations))
        for name, parametrizations in cast("Any", module.parametrizations).items()
    }
    return parametrize.type_before_parametrizations(module), state, weights


def _put_together(module: nn.Module, state: dict[str, Any], weights: dict[str, Any]) -> nn.Module:
    module.__dict__.update(state)
    for name, (original, parametrizations) in weights.items():
        module.register_parameter(name, original)
        for parametrization in parametrizations:
            parametrize.register_parametrization(module, name, parametrization, unsafe=True)
        _show_pruning(type(module), name)
    _make_copyable(type(module))
    return module


def _deepcopy(module: nn.Module, memo: dict[int, Any]) -> nn.Module:
    kind, state, weights = _parts(module)
    made = memo[id(module)] = kind.__new__(kind)
    return _put_together(made, copy.deepcopy(state, memo), copy.deepcopy(weights, memo))


def _reduce(module: nn.Module, protocol: int) -> tuple[Any, ...]:
    return _rebuild, _parts(module)


def _rebuild(kind: type[nn.Module], state: dict[str, Any], weights: dict[str, Any]) -> nn.Module:
    return _put_together(kind.__new__(kind), state, weights)
