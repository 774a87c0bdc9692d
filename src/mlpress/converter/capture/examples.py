"""The example inputs that a user hands in, made fit for tracing."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.export import Dim

from mlpress.converter.capture.errors import CaptureError

Spec = Any
"""What `torch.export` calls dynamic shapes: nested like the inputs, with the dimensions of each tensor."""


@dataclass(frozen=True, slots=True)
class Examples:
    """Arguments for `forward`, copied from the user's.

    Attributes:
        args: Positional arguments.
        kwargs: Keyword arguments.
        dynamic_shapes: What was asked for, by argument.
        open_dimensions: By input (argument and keys joined by ``_``) and axis, what was asked for an axis.
    """

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    dynamic_shapes: Spec
    open_dimensions: Mapping[str, Mapping[int, Any]] = field(default_factory=dict)


def prepare(module: nn.Module, example_inputs: Any, dynamic_shapes: Spec) -> Examples:
    """Binds example inputs to the arguments of `forward` and copies them.

    A dimension that is to stay open must not be 1 in the example, which torch would take for a fixed number.
    It becomes 2.

    Args:
        module: Whose `forward` will run.
        example_inputs: A tensor, a sequence of positional or a mapping of keyword arguments.
        dynamic_shapes: As for `torch.export.export`.

    Raises:
        CaptureError: There are no inputs, or `forward` does not take them.
    """
    bound = _bind(module, example_inputs)
    specs = _by_argument(bound, dynamic_shapes)
    open_dimensions: dict[str, Mapping[int, Any]] = {}
    for name, value in bound.arguments.items():
        if bound.signature.parameters[name].kind is inspect.Parameter.VAR_KEYWORD:
            bound.arguments[name] = {
                key: _copy(each, specs.get(key), key, open_dimensions) for key, each in value.items()
            }
        else:
            bound.arguments[name] = _copy(value, specs.get(name), name, open_dimensions)
    return Examples(bound.args, bound.kwargs, specs or None, open_dimensions)


def _bind(module: nn.Module, example_inputs: Any) -> inspect.BoundArguments:
    if example_inputs is None:
        raise CaptureError(
            f"{type(module).__name__} has to be run once to be captured: give example inputs "
            "(a tensor, a tuple of positional arguments or a dict of keyword arguments)"
        )
    if isinstance(example_inputs, torch.Tensor):
        example_inputs = (example_inputs,)
    signature = inspect.signature(module.forward)
    try:
        if isinstance(example_inputs, Mapping):
            return signature.bind(**example_inputs)
        return signature.bind(*example_inputs)
    except TypeError as error:
        raise CaptureError(f"the example inputs do not fit forward{signature}: {error}") from error


def _by_argument(bound: inspect.BoundArguments, dynamic_shapes: Spec) -> dict[str, Spec]:
    if not dynamic_shapes:
        return {}
    by_name = isinstance(dynamic_shapes, Mapping)
    given = dict(dynamic_shapes) if by_name else _in_order(bound, dynamic_shapes)
    names = list(bound.arguments)
    for name, parameter in bound.signature.parameters.items():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD and name in names:
            names[-1:] = bound.arguments[name]
    if unknown := sorted(set(given) - set(names)):
        raise CaptureError(f"dynamic_shapes names {', '.join(unknown)}; the inputs are {', '.join(names)}")
    # torch wants an entry for every argument that is given.
    return {name: given.get(name) for name in names}


def _in_order(bound: inspect.BoundArguments, specs: Sequence[Spec]) -> dict[str, Spec]:
    """Returns specs of positional arguments by name; those of an argument like ``*args`` as a tuple."""
    given: dict[str, Spec] = {}
    left = list(specs)
    for name, value in bound.arguments.items():
        if bound.signature.parameters[name].kind is inspect.Parameter.VAR_POSITIONAL:
            given[name] = tuple(left[: len(value)])
            del left[: len(value)]
        elif left:
            given[name] = left.pop(0)
    return given


def _copy(value: Any, spec: Spec, name: str, found: dict[str, Mapping[int, Any]]) -> Any:
    if isinstance(value, torch.Tensor):
        dimensions = {axis: each for axis, each in _per_axis(spec).items() if _is_open(each)}
        if dimensions:
            found[name] = dimensions
        return _grown(value.detach(), dimensions).clone()
    if isinstance(value, Mapping):
        parts = spec if isinstance(spec, Mapping) else {}
        make: Any = type(value)
        return make({key: _copy(each, parts.get(key), f"{name}_{key}", found) for key, each in value.items()})
    if isinstance(value, tuple | list):
        items = [
            _copy(each, part, f"{name}_{position}", found)
            for position, (each, part) in enumerate(zip(value, _per_item(spec, value, name), strict=True))
        ]
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    return value


def _per_item(spec: Spec, values: Sequence[Any], name: str) -> Sequence[Spec]:
    if spec is None:
        return [None] * len(values)
    if not isinstance(spec, Sequence) or len(spec) != len(values):
        raise CaptureError(
            f"dynamic_shapes for {name} must be a sequence of {len(values)} entries, not {spec}"
        )
    return spec


def _per_axis(spec: Spec) -> Mapping[int, Any]:
    if isinstance(spec, Mapping):
        return spec
    return dict(enumerate(spec)) if isinstance(spec, Sequence) else {}


def _is_open(dimension: Any) -> bool:
    return dimension is not None and not isinstance(dimension, int) and dimension != Dim.STATIC


def _grown(value: torch.Tensor, dimensions: Mapping[int, Any]) -> torch.Tensor:
    shape = [
        max(2, getattr(dimensions[axis], "min", None) or 2) if axis in dimensions and size == 1 else size
        for axis, size in enumerate(value.shape)
    ]
    return value.expand(shape)
