"""Compression under the names of coremltools' `optimize` package: of packages, and of PyTorch models."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from mlpress.optimize import coreml

if TYPE_CHECKING:
    from mlpress.optimize import torch

__all__ = ["coreml", "torch"]


def __getattr__(name: str) -> Any:
    if name == "torch":  # takes a second to import, and is not needed for packages
        return importlib.import_module("mlpress.optimize.torch")
    raise AttributeError(f"module 'mlpress.optimize' has no attribute {name!r}")
