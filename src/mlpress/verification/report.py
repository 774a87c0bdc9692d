"""What a verification found."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from mlpress.passes.report import format_snr
from mlpress.verification.rows import Loss, OperationRow, Row, plain

_CLEAN_DB: Final = 60.0
"""What is above this is rounding: float16 arithmetic alone leaves about 70 dB in small networks."""

_BROKEN_DB: Final = -1000.0
"""Stands for minus infinity where falls are compared, so that what NaN spreads to does not fall any more."""


@dataclass(frozen=True, slots=True)
class Verification:
    """How far a model is from its reference.

    Attributes:
        samples: Predictions that were compared; each step of a sequence is one.
        outputs: A row for each output, in the order of the model. A classifier's label has none.
        top1_agreement: Fraction of the samples in which a classifier finds the label of the reference; None
            for other models.
        operations: With ``per_op=True``, a row for each value inside that both have, in program order.
    """

    samples: int
    outputs: tuple[Row, ...] = field(repr=False)
    top1_agreement: float | None = None
    operations: tuple[OperationRow, ...] = field(default=(), repr=False)

    @property
    def min_snr(self) -> float:
        """Lowest signal-to-noise ratio of an output, in dB."""
        return min((row.snr_db for row in self.outputs), default=math.inf)

    def passed(self, min_snr: float) -> bool:
        """Returns whether each output has at least `min_snr` dB."""
        return self.min_snr >= min_snr

    def lost_at(self, min_snr: float | None = None) -> Loss | None:
        """Returns the operation where accuracy is lost; None without `operations`, or when none is lost.

        Args:
            min_snr: Finds the first operation in program order that falls below this, in dB. If not given,
                the one that falls the most against its inputs, where all above 60 dB counts as 60.
        """
        rows = [row for row in self.operations if row.is_comparable]
        if min_snr is not None:
            found = next((row for row in rows if row.snr_db < min_snr), None)
        else:
            found = max(rows, key=_fall, default=None)
            found = None if found is None or _fall(found) <= 0 else found
        if found is None:
            return None
        return Loss(found.operation, found.name, found.inputs_snr_db, found.snr_db)

    def to_dict(self) -> dict[str, Any]:
        """Returns everything as plain data; infinite numbers become the strings ``"inf"`` and ``"-inf"``."""
        data = {
            "samples": self.samples,
            "min_snr_db": plain(self.min_snr),
            "top1_agreement": self.top1_agreement,
            "outputs": [row.to_dict() for row in self.outputs],
        }
        if self.operations:
            lost = self.lost_at()
            data["operations"] = [row.to_dict() for row in self.operations]
            data["lost_at"] = (
                None if lost is None else {key: plain(value) for key, value in asdict(lost).items()}
            )
        return data

    def to_json(self, indent: int | None = 2) -> str:
        """Returns everything as JSON."""
        return json.dumps(self.to_dict(), indent=indent, allow_nan=False)

    def __str__(self) -> str:
        lines = _table("output", self.outputs)
        if self.operations:
            lines += ["", *_table("operation", self.operations)]
        top1 = "" if self.top1_agreement is None else f"; top-1 agreement {self.top1_agreement:.1%}"
        lines.append(f"{self.samples} samples; lowest SNR of an output: {_decibels(self.min_snr)}{top1}")
        lost = self.lost_at()
        return "\n".join(lines if lost is None else [*lines, str(lost)])


def _fall(row: OperationRow) -> float:
    before, after = (max(_BROKEN_DB, min(_CLEAN_DB, level)) for level in (row.inputs_snr_db, row.snr_db))
    return before - after


def _decibels(snr_db: float) -> str:
    text = format_snr(snr_db)
    return text if snr_db == math.inf else f"{text} dB"


def _table(title: str, rows: Sequence[Row]) -> list[str]:
    cells = [(title, "SNR dB", "cosine", "max error", "relative", "NaN or infinite"), *map(_cells, rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        "  ".join(
            [
                name.ljust(widths[0]),
                *(cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True)),
            ]
        ).rstrip()
        for name, *rest in cells
    ]


def _cells(row: Row) -> tuple[str, ...]:
    return (
        f"{row.operation} {row.name}" if isinstance(row, OperationRow) else row.name,
        format_snr(row.snr_db),
        "" if row.cosine is None else f"{row.cosine:.6f}",
        f"{row.max_abs_error:.3g}",
        f"{row.relative_error:.3g}",
        _nonfinite(row),
    )


def _nonfinite(row: Row) -> str:
    if not row.nonfinite_reference and not row.nonfinite_model:
        return "0"
    counts = f"{row.nonfinite_reference} in the reference, {row.nonfinite_model} in the model"
    return f"{counts}; {row.nonfinite_differences} differ of {row.elements}"
