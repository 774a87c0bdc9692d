"""From PyTorch models to Core ML models. Names are imported when first used; most need PyTorch."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlpress.converter import transform
    from mlpress.converter.api import convert
    from mlpress.converter.lowering.registry import register_lowering

_HOMES = {"convert": "mlpress.converter.api", "register_lowering": "mlpress.converter.lowering.registry"}

__all__ = ["convert", "register_lowering", "transform"]


def __getattr__(name: str) -> Any:
    if name == "transform":
        return importlib.import_module("mlpress.converter.transform")
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'mlpress.converter' has no attribute {name!r}")
