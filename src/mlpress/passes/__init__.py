"""Passes: from a program to a program."""

from mlpress.passes.compress import Options, Progress, compress
from mlpress.passes.decompress import decompress
from mlpress.passes.report import Report, Row
from mlpress.passes.weights import Weight, weights

__all__ = ["Options", "Progress", "Report", "Row", "Weight", "compress", "decompress", "weights"]
