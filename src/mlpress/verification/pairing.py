"""Which output of one side goes with which of the other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from mlpress.errors import MlpressError
from mlpress.models import Interface
from mlpress.models.prediction.shapes import shape_text
from mlpress.verification.sides import Prediction

Array = npt.NDArray[Any]
Pair = tuple[Array, Array]


def check_interfaces(reference: Interface, model: Interface) -> None:
    """Checks that two models have inputs and outputs of the same names.

    Raises:
        MlpressError: They do not.
    """
    for role in ("inputs", "outputs"):
        ours, theirs = getattr(reference, role), getattr(model, role)
        if set(ours) != set(theirs):
            raise MlpressError(
                f"the models have different {role}: the reference {_names(ours)}, the model {_names(theirs)}"
            )


def pair(reference: Prediction, model: Prediction) -> dict[str, Pair]:
    """Returns the arrays that go together, reference first, by name.

    What a torch module returns goes with the outputs of a model by name if it has all their names, else by
    order.

    Raises:
        MlpressError: The sides have different numbers of outputs, or two that go together have different
            shapes or classes.
    """
    ours = _ordered_as(model, reference)
    theirs = dict(model.arrays)
    any_names = reference.has_names or model.has_names
    named, other = (ours, theirs) if reference.has_names and not model.has_names else (theirs, ours)
    if set(named) <= set(other) and (any_names or len(named) == len(other)):
        pairs = {name: (ours[name], theirs[name]) for name in named}
    elif len(ours) == len(theirs):
        pairs = dict(zip(named, zip(ours.values(), theirs.values(), strict=True), strict=True))
    else:
        raise MlpressError(
            f"the sides have different outputs: the reference {len(ours)} ({_names(ours)}), "
            f"the model {len(theirs)} ({_names(theirs)})"
        )
    # Probabilities by label have lost the axes that a torch module gives them.
    flat = {reference.probabilities, model.probabilities}
    return {
        name: _same_shape(name, *(map(np.ravel, both) if name in flat else both))
        for name, both in pairs.items()
    }


def same_label(reference: Prediction, model: Prediction, pairs: Mapping[str, Pair]) -> bool | None:
    """Returns whether a classifier finds the label of the reference; None if neither side is a classifier.

    For a torch module the label is that of its largest output where the other side has the probabilities.
    """
    classifier = model if model.label is not None else reference
    if classifier.label is None:
        return None
    labels = [reference.label, model.label]
    for side, label in enumerate(labels):
        if label is None and classifier.probabilities is not None:
            labels[side] = classifier.classes[int(np.argmax(pairs[classifier.probabilities][side]))]
    return labels[0] == labels[1]


def _ordered_as(model: Prediction, reference: Prediction) -> dict[str, Array]:
    """Returns the arrays of `reference` with its probabilities in the order of the classes of `model`."""
    arrays = dict(reference.arrays)
    if not model.classes or not reference.classes or reference.classes == model.classes:
        return arrays
    if set(reference.classes) != set(model.classes):
        raise MlpressError(
            f"the models tell different classes apart: the reference {len(reference.classes)}, the model "
            f"{len(model.classes)}, {len(set(reference.classes) & set(model.classes))} of them the same"
        )
    assert reference.probabilities is not None  # it has classes
    position = {label: place for place, label in enumerate(reference.classes)}
    order = [position[label] for label in model.classes]
    arrays[reference.probabilities] = arrays[reference.probabilities][order]
    return arrays


def _same_shape(name: str, ours: Array, theirs: Array) -> Pair:
    if ours.shape == theirs.shape:
        return ours, theirs
    if ours.size == 1 and theirs.size == 1:  # Core ML has one axis where torch has none
        return ours.reshape(()), theirs.reshape(())
    raise MlpressError(
        f"output {name!r} has the shape {shape_text(ours.shape)} in the reference and "
        f"{shape_text(theirs.shape)} in the model"
    )


def _names(names: Mapping[str, object]) -> str:
    return ", ".join(map(repr, names)) or "none"
