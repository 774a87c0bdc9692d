"""Passes: from a program to a program."""

from mlpress.passes.compress import Options, Planned, Progress, asking, compress, planned, replace_weights
from mlpress.passes.decompress import decompress
from mlpress.passes.report import Report, Row
from mlpress.passes.share import shared
from mlpress.passes.weights import Weight, weights

__all__ = [
    "Options",
    "Planned",
    "Progress",
    "Report",
    "Row",
    "Weight",
    "asking",
    "compress",
    "decompress",
    "planned",
    "replace_weights",
    "shared",
    "weights",
]
