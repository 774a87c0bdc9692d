"""Float32 as it stands on CUDA, where torch lets convolutions round what they multiply to 10 bits (TF32)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import torch

_FULL: Final = "ieee"

_lock = threading.Lock()
_users = 0
_before: tuple[str, ...] = ()


@contextmanager
def full_float32(device: str) -> Iterator[None]:
    """Lets convolutions and recurrent layers multiply float32 numbers in full, if `device` is a CUDA one.

    It is a setting of the whole process: the first of several that run at a time makes it, the last one puts
    it back.
    """
    if torch.device(device).type != "cuda":
        yield
        return
    _enter()
    try:
        yield
    finally:
        _leave()


def _enter() -> None:
    global _users, _before
    with _lock:
        if _users == 0:
            _before = tuple(part.fp32_precision for part in _parts())
            _set((_FULL,) * len(_before))
        _users += 1


def _leave() -> None:
    global _users
    with _lock:
        _users -= 1
        if _users == 0:
            _set(_before)


def _set(values: tuple[str, ...]) -> None:
    for part, value in zip(_parts(), values, strict=True):
        part.fp32_precision = value


def _parts() -> tuple[Any, ...]:
    cudnn: Any = torch.backends.cudnn
    return cudnn.conv, cudnn.rnn
