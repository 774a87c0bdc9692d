"""coremltools as the converter of the zoo, with what it takes to work beside the torch and NumPy of today."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import coremltools as ct
import numpy as np
import torch
from coremltools.converters.mil import Builder as mb
from coremltools.converters.mil.frontend.torch import ops as frontend
from torch import Tensor

TARGETS = ("iOS15", "iOS16", "iOS17", "iOS18")
PRECISIONS = ("float32", "float16")


def convert(
    traced: torch.jit.ScriptModule,
    inputs: Mapping[str, Tensor],
    target: str,
    precision: str,
    path: Path,
) -> None:
    """Converts what `trace` returned, for inputs shaped like `inputs`, and saves it at `path`."""
    convert_with(
        traced,
        [ct.TensorType(name=name, shape=x.shape, dtype=_element_type(x)) for name, x in inputs.items()],
        target,
        precision,
        path,
    )


def convert_with(
    traced: torch.jit.ScriptModule, inputs: list[Any], target: str, precision: str, path: Path, **options: Any
) -> None:
    """Converts with coremltools' own descriptions of the inputs, and other options of its `convert`."""
    with sizes_of_one_element():
        convert_unaided(traced, inputs, target, precision, path, **options)


def convert_unaided(
    given: Any, inputs: list[Any], target: str, precision: str, path: Path, **options: Any
) -> None:
    """Converts as `convert_with` does, by coremltools as it is."""
    assert precision in PRECISIONS
    with _quiet():
        ct.convert(
            given,
            convert_to="mlprogram",
            inputs=inputs,
            minimum_deployment_target=getattr(ct.target, target),
            compute_precision=getattr(ct.precision, precision.upper()),
            skip_model_load=True,
            package_dir=str(path),
            **options,
        )


@contextmanager
def sizes_of_one_element() -> Iterator[None]:
    """Lets coremltools convert ``aten::Int`` and its like of a constant array of one element.

    It calls ``int`` on the array, and NumPy has not allowed that since 2.4 unless the array has no axes.
    """
    original = frontend._cast

    def cast(context: Any, node: Any, dtype: type, name: str) -> None:
        (x,) = frontend._get_inputs(context, node, expected=1)
        if isinstance(x.val, np.ndarray) and x.val.size == 1:
            context.add(mb.const(val=dtype(x.val.item()), name=node.name), node.name)
        else:
            original(context, node, dtype, name)

    frontend._cast = cast
    try:
        yield
    finally:
        frontend._cast = original


@contextmanager
def _quiet() -> Iterator[None]:
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)


def _element_type(x: Tensor) -> type[np.generic]:
    return np.float32 if x.is_floating_point() else np.int32
