"""The two things that a verification compares, behind one protocol."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from mlpress.mil import Function
from mlpress.models import Interface, MLModel

if TYPE_CHECKING:
    from mlpress.runtime import State, Tap

Sample = Mapping[str, Any]
"""Values of the inputs of one prediction, by name."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """What one side made of a sample.

    Attributes:
        arrays: Outputs by name, without the label of a classifier.
        has_names: Whether the names are those of a model, not positions in what a torch module returned.
        label: Label that a classifier found; None if it is none.
        probabilities: Name of the array that holds the probabilities of a classifier; None if it is none.
        classes: Labels in the order of the probabilities.
    """

    arrays: Mapping[str, npt.NDArray[Any]]
    has_names: bool
    label: str | int | None = None
    probabilities: str | None = None
    classes: tuple[str | int, ...] = ()


class Side(Protocol):
    """A model or a torch module."""

    def start(self) -> None:
        """Begins a sequence: forgets what former predictions left in the states."""

    def __call__(self, sample: Sample) -> Prediction:
        """Predicts once."""


def is_module(model: Any) -> bool:
    """Returns whether `model` is a torch module."""
    torch = sys.modules.get("torch")  # who has a module has imported it
    return torch is not None and isinstance(model, torch.nn.Module)


class ModelSide:
    """A Core ML model.

    Attributes:
        interface: What it takes and gives.
        function: The function in use.
    """

    def __init__(self, model: MLModel) -> None:
        """Makes the program ready to run, which decodes the weights.

        Raises:
            MlpressError: PyTorch is not installed, or the model cannot be run.
        """
        self.interface: Interface = model.interface
        self._predictor = model.predictor
        self._runner = self._predictor.runner
        self.function: Function = model.program.functions[model.function_name or "main"]
        self._state: State | None = None

    def start(self) -> None:
        self._state = self._runner.make_state() if self._runner.states else None

    def __call__(self, sample: Sample) -> Prediction:
        return _prediction(self._runner(self._predictor.arrays(sample), self._state))

    def values(self, sample: Sample) -> Iterator[Tap]:
        """Returns the values inside the program for `sample`; states stay as they are."""
        state = None
        if self._state is not None:
            state = self._runner.make_state()
            for name, tensor in self._state.tensors.items():
                state.tensors[name].copy_(tensor)
        return self._runner.values(self._predictor.arrays(sample), state)

    def value_names(self) -> set[str]:
        """Returns the names that `values` yields."""
        nodes = self._runner.module.graph.nodes
        return {node.meta["value"].name for node in nodes if "value" in node.meta}


def _prediction(results: Mapping[str, Any]) -> Prediction:
    labels = [result for result in results.values() if isinstance(result, str | int)]
    by_label = {name: result for name, result in results.items() if isinstance(result, dict)}
    arrays = {
        name: np.array(list(result.values())) if name in by_label else result
        for name, result in results.items()
        if not isinstance(result, str | int)
    }
    probabilities = next(iter(by_label), None)
    classes = () if probabilities is None else tuple(by_label[probabilities])
    return Prediction(arrays, True, labels[0] if labels else None, probabilities, classes)
