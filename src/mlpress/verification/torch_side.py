"""A torch module as a side of a verification."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from mlpress.errors import MlpressError
from mlpress.models import Interface
from mlpress.models.prediction.inputs import to_program
from mlpress.verification.sides import Prediction, Sample


class ModuleSide:
    """A torch module, in evaluation mode.

    It takes the inputs by position: in the order of the model it is compared with, or of the sample if that
        is a
    module, too. Floats are handed in as float32 and integers as int64, on the device of its parameters.
    """

    def __init__(self, module: nn.Module, interface: Interface | None, buffers: _Buffers) -> None:
        """Wraps `module`, which is in evaluation mode; `interface` is that of the model on the other side."""
        self._module = module
        self._interface = interface
        self._buffers = buffers
        self._device = next((parameter.device for parameter in module.parameters()), torch.device("cpu"))

    def start(self) -> None:
        self._buffers.restore()

    def __call__(self, sample: Sample) -> Prediction:
        arrays = sample if self._interface is None else to_program(self._interface.inputs, sample)
        with torch.no_grad():
            result = self._module(*(self._argument(name, value) for name, value in arrays.items()))
        return Prediction(dict(_tensors(result, ())), has_names=False)

    def _argument(self, name: str, value: Any) -> Tensor:
        given = value.detach().cpu() if isinstance(value, Tensor) else torch.from_numpy(_array(name, value))
        # A copy: the module may change it, and the sample goes to the other side, too.
        return given.to(self._device, torch.float32 if given.is_floating_point() else torch.int64, copy=True)


@contextmanager
def evaluated(module: nn.Module, interface: Interface | None) -> Iterator[ModuleSide]:
    """Gives `module` as a side; its mode and buffers are as they were when the context ends."""
    training = {part: part.training for part in module.modules()}
    buffers = _Buffers(module)
    try:
        yield ModuleSide(module.eval(), interface, buffers)
    finally:
        buffers.restore()
        for part, mode in training.items():
            part.training = mode


class _Buffers:
    """The buffers of a module and what they held."""

    def __init__(self, module: nn.Module) -> None:
        self._kept = [
            (part, name, buffer, buffer.detach().clone())
            for part in module.modules()
            for name, buffer in part.named_buffers(recurse=False)
        ]

    def restore(self) -> None:
        """Puts the same tensors back, with what they held."""
        with torch.no_grad():
            for part, name, buffer, held in self._kept:
                setattr(part, name, buffer)
                if not torch.equal(buffer, held):  # some, such as expanded ones, cannot be written
                    buffer.copy_(held)


def _array(name: str, value: Any) -> npt.NDArray[Any]:
    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise MlpressError(f"input {name!r} is a {type(value).__name__}; a torch module takes numbers")
    # torch lacks some unsigned types
    return array.astype(np.float32 if array.dtype.kind == "f" else np.int64)


def _tensors(result: Any, path: tuple[str, ...]) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    """Yields what a module returned, flattened: keys joined by dots name it."""
    match result:
        case None:
            return
        case Tensor():
            exact = result.double() if result.is_floating_point() else result
            yield ".".join(path) or "output", exact.detach().cpu().numpy()
        case Mapping():
            for key, value in result.items():
                yield from _tensors(value, (*path, str(key)))
        case tuple() | list():
            for index, value in enumerate(result):
                yield from _tensors(value, (*path, str(index) if path else f"output_{index}"))
        case _:
            where = f" at {'.'.join(path)!r}" if path else ""
            raise MlpressError(
                f"the torch module returns a {type(result).__name__}{where}; allowed: tensors, and tuples, "
                f"lists and dictionaries of them"
            )
