"""Passes: from a program to a program."""

from mlpress.passes.compress import Asking, Options, Progress, asking, compress
from mlpress.passes.decompress import decompress
from mlpress.passes.report import Report, Row
from mlpress.passes.weights import Weight, weights

__all__ = [
    "Asking",
    "Options",
    "Progress",
    "Report",
    "Row",
    "Weight",
    "asking",
    "compress",
    "decompress",
    "weights",
]
