"""From ``NAME=VALUE`` on the command line to the values that a model takes."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer

from mlpress.errors import MlpressError

if TYPE_CHECKING:
    from mlpress.models.prediction.features import ImageFeature, InputFeature

_ARRAYS: Final = re.compile(r"(?P<path>.+\.np[yz])(?:(?<=z):(?P<key>.+))?")


def split_pairs(pairs: Iterable[str]) -> dict[str, str]:
    """Returns the texts by name.

    Raises:
        typer.BadParameter: A pair has no name or no value, or a name comes twice.
    """
    found: dict[str, str] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not (name and equals and text):
            raise typer.BadParameter(f"--input {pair} is not of the form NAME=VALUE")
        if name in found:
            raise typer.BadParameter(f"--input {name} is given twice")
        found[name] = text
    return found


def read_values(texts: Mapping[str, str], features: Mapping[str, InputFeature]) -> dict[str, Any]:
    """Returns what the texts stand for; a name that the model does not know is kept, for it to complain.

    Args:
        texts: By name, a ``.npy`` file, a ``.npz`` file with or without a key, an image file where the model
            takes an image, or a number.
        features: Inputs of the model.

    Raises:
        typer.BadParameter: A text is none of these.
        MlpressError: A file is damaged or lacks the key, or pillow is not installed.
        OSError: A file cannot be read.
    """
    return {name: _value(name, text, features.get(name)) for name, text in texts.items()}


def _value(name: str, text: str, feature: InputFeature | None) -> Any:
    from mlpress.models.prediction.features import ImageFeature

    if isinstance(feature, ImageFeature):
        return _image(Path(text), feature)
    file = _ARRAYS.fullmatch(text)
    if file is not None:
        return _array(Path(file["path"]), file["key"] or name)
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    raise typer.BadParameter(
        f"--input {name}={text}: allowed are FILE.npy, FILE.npz, FILE.npz:KEY and numbers, "
        f"and image files where the model takes an image"
    )


def _image(file: Path, feature: ImageFeature) -> Any:
    from mlpress.models.prediction.images import pillow

    with pillow().open(file) as image:
        return image.convert(feature.color.mode)


def _array(file: Path, key: str) -> Any:
    """Returns the array in `file`, the one called `key` if it is an archive of several."""
    import numpy as np

    try:
        loaded = np.load(file, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded
        with loaded:
            names = list(loaded)
            if key in names:
                return loaded[key]
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise MlpressError(f"{file} holds no arrays that can be read: {error}") from error
    raise MlpressError(f"{file} has no array {key!r}; it has {names}")
