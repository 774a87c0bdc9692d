"""Rows of a verification: how far apart two values are."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from mlpress.passes.report import format_snr


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """How far one value of a model is from that of the reference, over all samples.

    Errors and ratios are over the elements that are finite in both.

    Attributes:
        name: Name of the value, of an output for instance.
        elements: Elements compared.
        snr_db: ``10 log10(sum(reference²) / sum((reference - value)²))`` in dB. Infinite when both are the
            same, minus infinite when the reference is all zeros and the value is not, or when an element is
            NaN or infinite in one and something else in the other.
        cosine: Cosine of the angle between both; None where it is not defined: one of them is all zeros, or
            the case of minus infinite `snr_db` for elements that are not finite.
        max_abs_error: Largest absolute difference.
        relative_error: ``‖reference - value‖ / ‖reference‖``.
        nonfinite_reference: Elements of the reference that are NaN or infinite.
        nonfinite_model: Elements of the model's value that are.
        nonfinite_differences: Elements that are not finite in one or both, and not the same.
    """

    name: str
    elements: int
    snr_db: float
    cosine: float | None
    max_abs_error: float
    relative_error: float
    nonfinite_reference: int
    nonfinite_model: int
    nonfinite_differences: int

    @property
    def is_comparable(self) -> bool:
        """Whether `snr_db` means something: it does not for noise on what is zero in the reference."""
        return self.snr_db > -math.inf or self.nonfinite_differences > 0

    def to_dict(self) -> dict[str, Any]:
        """Returns the row as plain data; infinite numbers become the strings ``"inf"`` and ``"-inf"``."""
        return {key: plain(value) for key, value in asdict(self).items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationRow(Row):
    """How far a value inside a model is from that of the same name inside the reference.

    Attributes:
        operation: Type of the operation that makes it in the model.
        inputs_snr_db: Lowest `snr_db` of what the operation computes it from, without constants and values
            that are zero in the reference; infinite if there is no such thing.
    """

    operation: str
    inputs_snr_db: float


@dataclass(frozen=True, slots=True)
class Loss:
    """The operation where accuracy is lost.

    Attributes:
        operation: Its type.
        name: Name of its value.
        before: Lowest signal-to-noise ratio of its inputs in dB.
        after: That of its value.
    """

    operation: str
    name: str
    before: float
    after: float

    def __str__(self) -> str:
        before, after = format_snr(self.before), format_snr(self.after)
        return f"accuracy is lost at {self.operation} {self.name!r}: {before} → {after} dB"


def plain(value: Any) -> Any:
    """Returns `value`, or a string for a number that JSON lacks: ``"inf"`` or ``"-inf"``."""
    return str(value) if isinstance(value, float) and math.isinf(value) else value
