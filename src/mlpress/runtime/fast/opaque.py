"""Modules that a compiled graph calls as they are: torch does not look inside."""

from __future__ import annotations

import secrets
from typing import Any, Final
from weakref import WeakValueDictionary

import torch
from torch import Tensor, nn

from mlpress.runtime.native_ops import define


class Opaque(nn.Module):
    """A module from tensors to one."""

    def __init__(self) -> None:
        super().__init__()
        self._number = secrets.randbits(62)  # torch keeps compiled code on disk: no process may use it twice
        _MODULES[self._number] = self

    def forward(self, x: Tensor, *more: Tensor) -> Tensor:
        """Returns what `run` does."""
        if torch.compiler.is_compiling():
            result: Tensor = _CALL([x, *more], self._number)
            return result
        return self.run(x, *more)

    def run(self, x: Tensor, *more: Tensor) -> Tensor:
        """Computes the result."""
        raise NotImplementedError

    def like(self, x: Tensor, *_: Tensor) -> Tensor:
        """Returns an empty tensor with the shape, the type and the layout of the result."""
        raise NotImplementedError


_MODULES: Final[WeakValueDictionary[int, Opaque]] = WeakValueDictionary()

_CALL: Final[Any] = define(
    "opaque",
    "Tensor[] inputs, int number",
    lambda inputs, number: _MODULES[number].run(*inputs),
    lambda inputs, number: _MODULES[number].like(*inputs),
    torch.Tag.needs_fixed_stride_order,
)
