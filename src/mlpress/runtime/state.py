"""What a stateful function remembers from one prediction to the next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mlpress.errors import InvalidProgramError, MlpressError
from mlpress.mil import StateType, TensorType, Value
from mlpress.runtime.constants import carrier


def state_type(state: Value) -> TensorType:
    """Returns the type of what `state`, an input of a function, holds.

    Raises:
        InvalidProgramError: It is no tensor, or its shape is not known.
    """
    wrapped = state.type.wrapped if isinstance(state.type, StateType) else state.type
    if not isinstance(wrapped, TensorType) or None in wrapped.shape:
        raise InvalidProgramError(
            f"state {state.name!r} holds a {wrapped}; allowed: a tensor of a fixed shape"
        )
    return wrapped


def zeros(kind: TensorType) -> Tensor:
    """Returns what a state of type `kind` holds at first."""
    return torch.zeros([size or 0 for size in kind.shape], dtype=carrier(kind.dtype))


class State:
    """Values of the states of one function, zeros at first. Predictions change them in place."""

    __slots__ = ("_types", "tensors")

    def __init__(self, types: Mapping[str, TensorType], device: str) -> None:
        """Makes zeros for states of `types` on `device`."""
        self._types = dict(types)
        self.tensors: dict[str, Tensor] = {name: zeros(kind).to(device) for name, kind in types.items()}

    @property
    def types(self) -> Mapping[str, TensorType]:
        """Types of the states by name."""
        return self._types

    def read(self, name: str) -> npt.NDArray[Any]:
        """Returns a copy of state `name`, in the element type of the program.

        Raises:
            MlpressError: There is no such state.
        """
        kind = self._type(name)
        return self.tensors[name].detach().cpu().numpy().astype(kind.dtype.storage)

    def write(self, name: str, value: npt.ArrayLike) -> None:
        """Sets state `name`, after rounding to its element type.

        Raises:
            MlpressError: There is no such state, or it has another shape.
        """
        kind = self._type(name)
        array = np.asarray(value)
        if array.shape != kind.shape:
            raise MlpressError(f"state {name!r} has shape {kind.shape}; the value has {array.shape}")
        self.tensors[name].copy_(torch.from_numpy(array.astype(kind.dtype.storage)))

    def detach(self) -> None:
        """Forgets how the values came about, so that no gradient goes back beyond now."""
        self.tensors = {name: tensor.detach() for name, tensor in self.tensors.items()}

    def _type(self, name: str) -> TensorType:
        try:
            return self._types[name]
        except KeyError:
            raise MlpressError(
                f"there is no state {name!r}; states: {', '.join(self._types) or 'none'}"
            ) from None
