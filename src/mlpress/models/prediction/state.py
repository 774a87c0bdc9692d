"""What a stateful model remembers from one prediction to the next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from mlpress.models.prediction.arrays import from_array, to_array

if TYPE_CHECKING:
    from mlpress.runtime import State


class MLState:
    """The states of a model, made by `MLModel.make_state`: zeros at first, changed by each prediction.

    Sequences of predictions are independent when each has an `MLState` of its own. Functions whose states
    have the same names and types, such as two of one package, can take turns on one.
    """

    __slots__ = ("values",)

    def __init__(self, values: State) -> None:
        """Wraps the states of a function that is ready to run."""
        self.values = values

    def read_state(self, name: str) -> npt.NDArray[Any]:
        """Returns a copy of the state called `name`, in the shape of the model and its element type.

        Half precision comes as float32, as from coremltools.

        Raises:
            MlpressError: There is no such state.
        """
        array = self.values.read(name)
        return from_array(array, self.values.types[name].dtype)

    def write_state(self, name: str, value: npt.ArrayLike) -> None:
        """Sets the state called `name`.

        Args:
            name: Name of a state.
            value: An array of its shape; floats are rounded to its element type.

        Raises:
            MlpressError: There is no such state, or `value` has another shape or holds no numbers.
        """
        kind = self.values.types.get(name)
        array = value if kind is None else to_array(f"state {name!r}", value, kind.dtype)
        self.values.write(name, array)
