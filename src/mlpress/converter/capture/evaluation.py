"""Looking at a module without leaving a trace in it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

_OWN_DICTS = ("_parameters", "_buffers", "_modules")


@contextmanager
def evaluation_mode(module: nn.Module) -> Iterator[None]:
    """Sets a module to evaluation mode; afterwards puts back its mode and every attribute that its code set.

    Warns if any part of the module was in training mode. Tensors that code changes in place are not put back:
    torch traces with stand-ins for them.
    """
    saved = [(part, _snapshot(part)) for part in module.modules()]
    if any(part.training for part, _ in saved):
        warnings.warn("the model is in training mode; it is captured as in evaluation mode", stacklevel=4)
    fast_path = torch.backends.mha.get_fastpath_enabled()
    try:
        for part, _ in saved:
            part.training = False
        # The fast path of attention layers is one operator for all that they do.
        torch.backends.mha.set_fastpath_enabled(False)
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast_path)
        for part, attributes in saved:
            _restore(part, attributes)


def _snapshot(module: nn.Module) -> dict[str, Any]:
    attributes = dict(module.__dict__)
    return attributes | {name: dict(attributes[name]) for name in _OWN_DICTS}


def _restore(module: nn.Module, attributes: dict[str, Any]) -> None:
    for name in _OWN_DICTS:
        own = module.__dict__[name]
        own.clear()
        own.update(attributes[name])
    kept = {name: value for name, value in attributes.items() if name not in _OWN_DICTS}
    for name in module.__dict__.keys() - attributes.keys():
        del module.__dict__[name]
    module.__dict__.update(kept)
