"""The outputs of a prediction, summed up for people, for machines and for a file."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from mlpress.cli.render import Column, emit, print_json, print_table, shape

_TOP: Final = 5

_COLUMNS: Final[tuple[Column, ...]] = (
    ("output", "left"),
    ("type", "left"),
    ("shape", "left"),
    ("min", "right"),
    ("max", "right"),
    ("mean", "right"),
    ("std", "right"),
    ("not finite", "right"),
)


@dataclass(frozen=True, slots=True)
class Summary:
    """What an array holds.

    Attributes:
        type: Element type; the mode for an image.
        shape: Sizes of the axes; height, width and channels for an image.
        min, max, mean, std: Of the finite elements; None if there are none.
        not_finite: Elements that are NaN or infinite.
    """

    type: str
    shape: tuple[int, ...]
    min: float | None
    max: float | None
    mean: float | None
    std: float | None
    not_finite: int


def print_results(outputs: Mapping[str, Any]) -> None:
    """Prints labels, the most probable classes, and a table of all arrays."""
    arrays = {}
    for name, value in outputs.items():
        if isinstance(value, dict):
            _print_top(name, value)
        elif isinstance(value, str | int | float):
            emit(f"{name}: {value}")
        else:
            arrays[name] = summary(value)
    if arrays:
        print_table(_COLUMNS, [_row(name, found) for name, found in arrays.items()])


def print_results_json(outputs: Mapping[str, Any]) -> None:
    """Prints all outputs as JSON: arrays as summaries, the rest as it is."""
    print_json({"outputs": {name: _plain(value) for name, value in outputs.items()}})


def save_results(outputs: Mapping[str, Any], file: Path) -> None:
    """Writes all outputs to a ``.npz`` file, by name.

    Images become arrays of pixels. Probabilities become an array, with the labels in a second one called
    ``NAME_labels``.

    Raises:
        OSError: Writing failed.
    """
    import numpy as np

    arrays: dict[str, Any] = {}
    for name, value in outputs.items():
        if isinstance(value, dict):
            arrays[name] = np.array(list(value.values()))
            arrays[f"{name}_labels"] = np.array(list(value))
        else:
            arrays[name] = np.asarray(value)
    with file.open("wb") as stream:  # savez would add an extension to a path
        np.savez(stream, **arrays)


def summary(value: Any) -> Summary:
    """Sums up an array, or an image of pillow."""
    import numpy as np

    array = np.asarray(value)
    finite = array[np.isfinite(array)].astype(np.float64)
    statistics = (finite.min(), finite.max(), finite.mean(), finite.std()) if finite.size else (None,) * 4
    low, high, mean, std = (None if one is None else float(one) for one in statistics)
    kind = getattr(value, "mode", None)
    return Summary(kind or str(array.dtype), array.shape, low, high, mean, std, array.size - finite.size)


def _print_top(name: str, probabilities: Mapping[Any, float]) -> None:
    best = sorted(probabilities.items(), key=lambda pair: -pair[1])[:_TOP]
    print_table(((name, "left"), ("", "right")), [(str(label), f"{value:.4f}") for label, value in best])


def _row(name: str, found: Summary) -> tuple[str, ...]:
    numbers = (found.min, found.max, found.mean, found.std)
    texts = ("" if number is None else f"{number:.5g}" for number in numbers)
    return (name, found.type, shape(found.shape), *texts, str(found.not_finite or ""))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(label): _plain(probability) for label, probability in value.items()}
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)  # JSON has no NaN and no infinity
    return value if isinstance(value, str | int) else asdict(summary(value))
