"""Compression under the names of coremltools' `optimize` package."""

from mlpress.optimize import coreml

__all__ = ["coreml"]
