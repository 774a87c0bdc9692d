"""The graph of a model, and which of its nodes are tensors of floats."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import fx, nn
from torch.fx.passes.shape_prop import ShapeProp

from mlpress.errors import RecipeError, UnsupportedModelError


class _Tracer(fx.Tracer):
    """Takes some modules as they are, beside those of torch."""

    def __init__(self, whole: Sequence[str] = ()) -> None:  # unpickling a graph module gives no arguments
        super().__init__()
        self._whole = frozenset(whole)

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return module_qualified_name in self._whole or super().is_leaf_module(m, module_qualified_name)


def trace(model: nn.Module, whole: Sequence[str] = ()) -> fx.GraphModule:
    """Returns a graph module that shares the submodules of a model.

    Args:
        model: The model.
        whole: Names of modules not to look into.

    Raises:
        UnsupportedModelError: Its control flow depends on data.
    """
    try:
        graph = _Tracer(whole).trace(model)
    except Exception as error:
        raise UnsupportedModelError(
            f"the model cannot be traced ({error}); name the modules at fault in non_traceable_module_names, "
            f"or quantize weights only with activation_dtype float32"
        ) from error
    traced = fx.GraphModule(model, graph, type(model).__name__)
    traced.train(model.training)
    return traced


def find_floats(traced: fx.GraphModule, example_inputs: tuple[Any, ...]) -> frozenset[fx.Node]:
    """Returns the nodes whose values are tensors of floats.

    Raises:
        RecipeError: The model does not take the inputs.
    """
    # A copy, because parametrizations and batch norms may change when they are used.
    trial = copy.deepcopy(traced).eval()
    try:
        with torch.no_grad():
            ShapeProp(trial).propagate(*example_inputs)
    except Exception as error:
        raise RecipeError(f"the model does not take the example inputs: {error}") from error
    floats = {
        node.name
        for node in trial.graph.nodes
        if getattr(node.meta.get("tensor_meta"), "dtype", torch.int64).is_floating_point
    }
    return frozenset(node for node in traced.graph.nodes if node.name in floats)


def as_inputs(given: Any) -> tuple[Any, ...]:
    """Returns example inputs given as a tensor, as several values, or as the shape of one tensor.

    Raises:
        RecipeError: They are none of these.
    """
    if isinstance(given, torch.Tensor):
        return (given,)
    if isinstance(given, (tuple, list)) and given:
        if all(type(size) is int for size in given):
            return (torch.rand(*given),)
        return tuple(given)
    raise RecipeError(f"example_inputs is {given!r}; allowed: a tensor, a tuple of inputs, or a shape")
