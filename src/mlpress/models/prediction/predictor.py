"""One function of a model, ready for predictions."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from mlpress.errors import InvalidProgramError, MlpressError
from mlpress.mil import TensorType, Type
from mlpress.models.prediction.inputs import to_program
from mlpress.models.prediction.interface import Interface
from mlpress.models.prediction.outputs import from_program
from mlpress.models.prediction.state import MLState

if TYPE_CHECKING:
    from mlpress.runtime import Runner


class Predictor:
    """One function of a model; its program is made ready to run when it is first used, once for all threads.

    Attributes:
        interface: What the function takes and gives.
    """

    def __init__(self, interface: Interface, make_runner: Callable[[], Runner]) -> None:
        """Keeps what it takes to make the program ready; does nothing yet."""
        self.interface = interface
        self._make_runner = make_runner
        self._runner: Runner | None = None
        self._lock = threading.Lock()

    @property
    def runner(self) -> Runner:
        """The program, ready to run.

        Raises:
            InvalidProgramError: It has other inputs or outputs than the model describes.
            UnsupportedModelError: It has operators that cannot be run; all are listed.
        """
        with self._lock:
            if self._runner is None:
                runner = self._make_runner()
                _check_names("inputs", self.interface.inputs, runner.inputs)
                _check_names("outputs", self.interface.outputs, runner.outputs)
                self._runner = runner
            return self._runner

    def __call__(self, data: Mapping[str, Any], state: MLState | None = None) -> dict[str, Any]:
        """Predicts once.

        Raises:
            MlpressError: `data` or `state` is not what the model takes.
            TypeError: `state` is no state at all.
        """
        arrays = self.arrays(data)
        runner = self.runner
        self._check_state(runner, state)
        results = runner(arrays, None if state is None else state.values)
        return from_program(self.interface.outputs, results)

    def arrays(self, data: Mapping[str, Any]) -> dict[str, npt.NDArray[Any]]:
        """Returns the arrays that the program takes for `data`.

        Raises:
            MlpressError: `data` is not what the model takes.
        """
        arrays = to_program(self.interface.inputs, data)
        kinds = self.runner.inputs
        return {name: _with_rank_of(kinds[name], array) for name, array in arrays.items()}

    def make_state(self) -> MLState:
        """Returns states of zeros.

        Raises:
            MlpressError: The function has no states.
        """
        if not self.runner.states:
            raise MlpressError("the model has no states; predict needs none")
        return MLState(self.runner.make_state())

    @staticmethod
    def _check_state(runner: Runner, state: MLState | None) -> None:
        if not isinstance(state, MLState | None):
            raise TypeError(
                f"state is a {type(state).__name__}; allowed: what the model's make_state() returns"
            )
        wanted = ", ".join(f"{name!r}: {kind}" for name, kind in runner.states.items())
        if state is None and wanted:
            raise MlpressError(
                f"the model has states ({wanted}): predict needs state=, from the model's make_state()"
            )
        if state is not None and dict(state.values.types) != dict(runner.states):
            given = ", ".join(f"{name!r}: {kind}" for name, kind in state.values.types.items())
            raise MlpressError(f"state is another model's ({given}); this model has {wanted or 'no states'}")


def _check_names(role: str, described: Mapping[str, object], actual: Mapping[str, Type]) -> None:
    if set(described) != set(actual):
        raise InvalidProgramError(
            f"the model describes the {role} {sorted(described)}; its program has {sorted(actual)}"
        )


def _with_rank_of(kind: Type, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Returns a single number with the axes that the program has for it; other arrays as they are."""
    if isinstance(kind, TensorType) and array.size == 1 and array.ndim != len(kind.shape):
        return array.reshape((1,) * len(kind.shape))
    return array
