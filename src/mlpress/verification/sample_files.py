"""Samples from ``.npz`` files."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mlpress.errors import MlpressError
from mlpress.models import Interface
from mlpress.models.prediction import ImageFeature
from mlpress.models.prediction.features import Color, InputFeature
from mlpress.models.prediction.images import pillow

Array = npt.NDArray[Any]


def read_samples(path: Path, interface: Interface | None) -> Iterator[dict[str, Any] | list[dict[str, Any]]]:
    """Yields the samples in a ``.npz`` file, or in all those of a directory in the order of their names.

    A file holds an array for each input, under its name. One with an axis more than the input holds a value
    for each sample of the file, along its first axis; one with as many axes as the input goes with every
    sample. For a model with states, the samples of a file are the steps of a sequence, yielded as one list.
    An image is an array of pixels in uint8: height and width, then three channels, red first, unless
    it is grey.

    Args:
        path: A file or a directory; one file is in memory at a time.
        interface: What the model takes; None for two torch modules, for which each file is one sample.

    Raises:
        MlpressError: There is no such file, or it cannot be read; arrays have the wrong number of axes, or
            different numbers of samples; an input is an image and pillow is not installed.
    """
    files = sorted(path.glob("*.npz")) if path.is_dir() else [path]
    if not files:
        raise MlpressError(f"{path} holds no .npz files")
    for file in files:
        arrays = _arrays(file)
        if interface is None:
            yield arrays
        elif not interface.states:
            yield from _samples(file, arrays, interface)
        elif steps := list(_samples(file, arrays, interface)):
            yield steps


def _arrays(file: Path) -> dict[str, Array]:
    if file.exists() and not zipfile.is_zipfile(file):
        raise MlpressError(f"{file} is no .npz file, which holds an array for each input")
    try:
        with np.load(file, allow_pickle=False) as loaded:
            return dict(loaded)
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise MlpressError(f"{file} is no .npz file that can be read: {error}") from error


def _samples(file: Path, arrays: Mapping[str, Array], interface: Interface) -> Iterator[dict[str, Any]]:
    stacked = {name: _is_stacked(file, name, array, interface) for name, array in arrays.items()}
    lengths = {name: len(arrays[name]) for name in arrays if stacked[name]}
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{name!r} {length}" for name, length in lengths.items())
        raise MlpressError(f"{file} has different numbers of samples: {listed}")
    for index in range(max(lengths.values(), default=1 if not lengths else 0)):
        yield {
            name: _value(name, interface.inputs.get(name), array[index] if stacked[name] else array)
            for name, array in arrays.items()
        }


def _is_stacked(file: Path, name: str, array: Array, interface: Interface) -> bool:
    feature = interface.inputs.get(name)
    if feature is None:
        return False  # the model will say that it has no such input
    axes = _axes(feature)
    if array.ndim not in (axes, axes + 1):
        raise MlpressError(
            f"{file}: {name!r} has {array.ndim} axes; allowed: {axes} for one value, {axes + 1} for "
            f"one value for each sample"
        )
    return array.ndim == axes + 1


def _axes(feature: InputFeature) -> int:
    if not isinstance(feature, ImageFeature):
        return len(feature.shapes.default)
    return 2 if feature.color in (Color.GRAYSCALE, Color.GRAYSCALE_FLOAT16) else 3


def _value(name: str, feature: InputFeature | None, array: Array) -> Any:
    if not isinstance(feature, ImageFeature):
        return array
    if feature.color is Color.GRAYSCALE_FLOAT16:
        return pillow().fromarray(array.astype(np.float32))
    if array.dtype != np.uint8:
        raise MlpressError(f"{name!r} holds {array.dtype}; the model takes {feature}: its pixels are uint8")
    return pillow().fromarray(array)
