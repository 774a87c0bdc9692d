"""What was done to each weight, and what was not, with the reason."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from mlpress.passes.weights import Totals

Status = Literal["compressed", "skipped", "left"]


@dataclass(frozen=True, slots=True)
class Row:
    """One weight.

    Attributes:
        name: Name of the constant.
        function: Function that it belongs to.
        operations: Type and name of the operators that use it.
        shape: Its dense shape.
        status: ``compressed`` as asked; ``skipped`` where that was asked for but cannot be done; ``left``
            where nothing was asked for.
        reason: Why it was skipped or left; empty when compressed.
        before: How it was stored.
        after: How it is stored.
        nbytes_before: Bytes of it before, headers aside.
        nbytes_after: Bytes of it after.
        snr_db: Signal-to-noise ratio against the weight before, in dB; infinite when nothing was lost, None
            when the weight was not touched.
        samples_snr_db: The same as samples count errors: of the results of the operators that use the weight,
            or of the weight with each element counted by its sensitivity. None without samples.
    """

    name: str
    function: str
    operations: tuple[tuple[str, str], ...]
    shape: tuple[int, ...]
    status: Status
    reason: str
    before: str
    after: str
    nbytes_before: int
    nbytes_after: int
    snr_db: float | None
    samples_snr_db: float | None = None

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def bits_per_weight(self) -> float:
        """Bits that an element takes after, tables, scales and masks included."""
        return 8 * self.nbytes_after / self.size if self.size else 0.0


@dataclass(frozen=True, slots=True)
class Report:
    """A row for each weight, in program order.

    Attributes:
        rows: The rows.
        before: Size of all weights before.
        after: Size of all weights after.
        unmatched: Exceptions of the recipe that match no weight, as ``steps[0].names: 'head_*'``.
    """

    rows: tuple[Row, ...] = field(repr=False)
    before: Totals
    after: Totals
    unmatched: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def with_status(self, status: Status) -> tuple[Row, ...]:
        """Returns the rows with a status."""
        return tuple(row for row in self.rows if row.status == status)

    @property
    def skipped(self) -> tuple[Row, ...]:
        """Rows of weights that could not be compressed as asked."""
        return self.with_status("skipped")

    @property
    def nbytes_before(self) -> int:
        """Bytes of all weights before; those that share storage count once."""
        return self.before.nbytes

    @property
    def nbytes_after(self) -> int:
        """Bytes of all weights after; those that share storage count once."""
        return self.after.nbytes

    @property
    def bits_per_weight(self) -> float:
        """Bits that an element takes after, over all weights."""
        return self.after.bits_per_weight

    @property
    def totals(self) -> dict[str, Any]:
        """Counts by status, bytes before and after, their ratio and bits per weight."""
        return {
            **{
                f"weights_{status}": len(self.with_status(status))
                for status in ("compressed", "skipped", "left")
            },
            "nbytes_before": self.nbytes_before,
            "nbytes_after": self.nbytes_after,
            "ratio": self.nbytes_before / self.nbytes_after if self.nbytes_after else 1.0,
            "bits_per_weight": self.bits_per_weight,
        }

    def to_dict(self) -> dict[str, Any]:
        """Returns rows and totals as plain data; an infinite ratio becomes a string, such as ``"inf"``."""
        rows = []
        for row in self.rows:
            data = asdict(row)
            data["bits_per_weight"] = row.bits_per_weight
            for name in ("snr_db", "samples_snr_db"):
                if data[name] in (math.inf, -math.inf):
                    data[name] = str(data[name])
            rows.append(data)
        return {"rows": rows, "totals": self.totals, "unmatched": list(self.unmatched)}

    def to_json(self, indent: int | None = 2) -> str:
        """Returns rows and totals as JSON."""
        return json.dumps(self.to_dict(), indent=indent)

    def table(self) -> str:
        """Returns a table for people: weights that were compressed or skipped, then the totals."""
        shown = [row for row in self.rows if row.status != "left"]
        rows = [_HEADER, *(_cells(row) for row in shown)]
        if all(row.samples_snr_db is None for row in shown):
            rows = [cells[:-1] for cells in rows]
        lines = _columns(rows)
        totals = self.totals
        counts = ", ".join(
            f"{totals[f'weights_{status}']} {status}" for status in ("compressed", "skipped", "left")
        )
        lines.append(
            f"{counts}; {human_bytes(self.nbytes_before)} -> {human_bytes(self.nbytes_after)}, "
            f"{self.bits_per_weight:.2f} bits a weight"
        )
        lines += [f"matches no weight: {rule}" for rule in self.unmatched]
        return "\n".join(lines)

    def __str__(self) -> str:
        return self.table()


_HEADER = ("weight", "shape", "before", "after", "bytes", "bits", "SNR dB", "on samples")


def _cells(row: Row) -> tuple[str, ...]:
    shape = "x".join(map(str, row.shape))
    after = row.after if row.status == "compressed" else f"skipped: {row.reason}"
    return (
        row.name,
        shape,
        row.before,
        after,
        str(row.nbytes_after),
        f"{row.bits_per_weight:.2f}",
        format_snr(row.snr_db),
        format_snr(row.samples_snr_db),
    )


def format_snr(snr_db: float | None) -> str:
    """Returns a signal-to-noise ratio for a table."""
    return "" if snr_db is None else "exact" if snr_db == math.inf else f"{snr_db:.1f}"


def human_bytes(nbytes: int) -> str:
    """Returns a number of bytes with a unit that people read."""
    size = float(nbytes)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024 or unit == "GiB":
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    raise AssertionError("unreachable")


def snr_db(squared_error: float, squared_signal: float) -> float:
    """Returns 10 log10(signal / error) in dB; infinite for no error, minus infinite for no signal."""
    if squared_error == 0:
        return math.inf
    return 10 * math.log10(squared_signal / squared_error) if squared_signal else -math.inf


def _columns(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
