"""Whether a model still computes what its reference does: the same inputs through both."""

from __future__ import annotations

from mlpress.verification.report import Verification
from mlpress.verification.rows import Loss, OperationRow, Row
from mlpress.verification.sample_files import read_samples
from mlpress.verification.sides import is_module
from mlpress.verification.verifying import verify

__all__ = ["Loss", "OperationRow", "Row", "Verification", "is_module", "read_samples", "verify"]
