"""Example inputs for capturing, from what users say about the inputs of a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.export import Dim

from mlpress.converter.capture import Captured
from mlpress.converter.features import EnumeratedShapes, ImageType, RangeDim, Shape, TensorType
from mlpress.errors import MlpressError

Feature = TensorType | ImageType
AnyShape = Shape | EnumeratedShapes


def as_features(inputs: Any) -> tuple[Feature, ...] | None:
    """Returns what a user says about the inputs, a tensor as the type that it has; None for None.

    Raises:
        MlpressError: Something is no type of an input.
    """
    if inputs is None:
        return None
    several = inputs if isinstance(inputs, list | tuple) else (inputs,)
    return tuple(_feature(one) for one in several)


def _feature(given: Any) -> Feature:
    if isinstance(given, TensorType | ImageType):
        return given
    if isinstance(given, torch.Tensor):
        dtype = None if given.is_floating_point() else "int32"
        return TensorType(shape=tuple(given.shape), dtype=dtype)
    raise MlpressError(f"an input is a {type(given).__name__}; allowed: TensorType, ImageType, torch.Tensor")


def examples(model: nn.Module, features: Sequence[Feature]) -> tuple[tuple[torch.Tensor, ...], Any]:
    """Returns tensors to capture a module with, and its dynamic shapes (None if all are fixed).

    Integers are int64, as torch's operators want them; floats have the type of the parameters.

    Raises:
        MlpressError: An input has no shape.
    """
    floats = next((p.dtype for p in model.parameters() if p.is_floating_point()), torch.float32)
    tensors: list[torch.Tensor] = []
    for index, feature in enumerate(features):
        if feature.shape is None:
            raise MlpressError(
                f"input {feature.name or index!r} has no shape; a module needs TensorType(shape=...)"
            )
        whole = feature.dtype is not None and not feature.dtype.is_float
        tensors.append(torch.zeros(feature.shape.default, dtype=torch.int64 if whole else floats))
    symbols: dict[str, Any] = {}
    open_axes = [_open_axes(feature.shape, symbols) for feature in features if feature.shape is not None]
    return tuple(tensors), tuple(open_axes) if any(open_axes) else None


def _open_axes(shape: AnyShape, symbols: dict[str, Any]) -> dict[int, Any]:
    if isinstance(shape, EnumeratedShapes):
        columns = list(zip(*shape.shapes, strict=True))
        return {
            axis: Dim.AUTO(min=min(sizes), max=max(sizes))
            for axis, sizes in enumerate(columns)
            if len(set(sizes)) > 1
        }
    return {axis: _open(size, symbols) for axis, size in enumerate(shape.shape) if isinstance(size, RangeDim)}


def _open(size: RangeDim, symbols: dict[str, Any]) -> Any:
    if size.symbol is None:
        return Dim.AUTO(min=size.lower_bound, max=size.upper_bound)
    return symbols.setdefault(size.symbol, Dim(size.symbol, min=size.lower_bound, max=size.upper_bound))


def captured_shapes(captured: Captured) -> list[AnyShape]:
    """Returns the shapes of the inputs of a captured model, open sizes with their bounds.

    Raises:
        MlpressError: A size has no upper bound.
    """
    bounds = {dimension.symbol: dimension for dimension in captured.dimensions}
    shapes: list[AnyShape] = []
    for given in captured.inputs:
        sizes: list[int | RangeDim] = []
        for size in given.shape:
            if not isinstance(size, torch.SymInt):
                sizes.append(size)
                continue
            found = bounds.get(size.node.expr)
            if found is None or found.maximum is None:
                raise MlpressError(
                    f"input {given.name!r} has a size without an upper bound ({size}); Core ML needs one: "
                    f"torch.export.Dim(..., max=...)"
                )
            default = min(max(int(size.node.hint or found.minimum), found.minimum), found.maximum)
            sizes.append(RangeDim(found.minimum, found.maximum, default))
        shapes.append(Shape(sizes))
    return shapes


def features_of(captured: Captured) -> tuple[TensorType, ...]:
    """Returns the inputs of a captured model as it has them."""
    shapes = captured_shapes(captured)
    return tuple(
        TensorType(given.name, shape, "float32" if given.dtype.is_floating_point else "int32")
        for given, shape in zip(captured.inputs, shapes, strict=True)
    )
