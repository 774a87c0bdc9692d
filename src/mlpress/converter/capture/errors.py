"""What goes wrong between a user's model and its graph."""

from __future__ import annotations

from mlpress.errors import MlpressError


class CaptureError(MlpressError):
    """A model could not be turned into a graph: wrong inputs, or code that torch cannot trace."""


class DataDependentError(CaptureError):
    """A shape or a branch depends on the values of a tensor, where it has to be known beforehand."""


class SpecializedDimensionError(CaptureError):
    """A dimension that was asked to be dynamic is a fixed number in the captured graph."""
