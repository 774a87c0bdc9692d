"""Float32 as it stands on CUDA, where torch lets convolutions round what they multiply to 10 bits (TF32)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import torch

_ROUNDED: Final = "tf32"

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
            _allow_tf32(False)
        _users += 1


def _leave() -> None:
    global _users
    with _lock:
        _users -= 1
        if _users == 0:
            _allow_tf32(all(value == _ROUNDED for value in _before))
            for part, value in zip(_parts(), _before, strict=True):
                part.fp32_precision = value


def _allow_tf32(allow: bool) -> None:
    # The setting of all parts at once: after those of parts alone, torch refuses to say what this one is, and
    # asks for it itself when it exports or compiles a model.
    torch.backends.cudnn.allow_tf32 = allow


def _parts() -> tuple[Any, ...]:
    cudnn: Any = torch.backends.cudnn
    return cudnn.conv, cudnn.rnn
