"""The same inputs through two models: how far apart their results are, and what each takes."""

from __future__ import annotations

from mlpress.verification.benching import Bench, BenchRow, bench
from mlpress.verification.report import Verification
from mlpress.verification.rows import Loss, OperationRow, Row
from mlpress.verification.sample_files import read_samples
from mlpress.verification.sides import is_module
from mlpress.verification.verifying import verify

__all__ = [
    "Bench",
    "BenchRow",
    "Loss",
    "OperationRow",
    "Row",
    "Verification",
    "bench",
    "is_module",
    "read_samples",
    "verify",
]
