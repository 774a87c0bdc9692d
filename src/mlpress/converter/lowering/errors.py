"""What goes wrong between an ATen graph and a program."""

from __future__ import annotations

from mlpress.errors import MlpressError


class LoweringError(MlpressError):
    """A model has something that Core ML cannot express."""


class UnsupportedOperatorsError(LoweringError):
    """A model has operators without a lowering; the message lists all of them and where they come from."""
