"""How the weights of two programs differ."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from mlpress.encoding import Encoding, describe, squared_error, tensors
from mlpress.mil import Program, canonical_nbytes
from mlpress.package import release
from mlpress.passes.report import snr_db
from mlpress.passes.weights import Weight, weights


@dataclass(frozen=True, slots=True)
class DiffRow:
    """One weight in two programs.

    Attributes:
        name: Name of the constant.
        function: Function that it belongs to.
        shapes: Its dense shape in each program; None where it is missing.
        encodings: How each program stores it; None where it is missing.
        nbytes: Bytes of it in each program, headers aside; None where it is missing.
        snr_db: Signal-to-noise ratio of the second against the first, in dB; infinite when the values are the
            same, None when they cannot be compared: the weight is missing, its shape differs, or values are
            not finite.
    """

    name: str
    function: str
    shapes: tuple[tuple[int, ...] | None, tuple[int, ...] | None]
    encodings: tuple[str | None, str | None]
    nbytes: tuple[int | None, int | None]
    snr_db: float | None

    def to_dict(self) -> dict[str, Any]:
        """Returns the row as plain data; an infinite ratio becomes the string ``"inf"`` or ``"-inf"``."""
        infinite = self.snr_db is not None and math.isinf(self.snr_db)
        return asdict(self) | ({"snr_db": str(self.snr_db)} if infinite else {})


def diff(first: Program, second: Program) -> Iterator[DiffRow]:
    """Yields a row for each weight of either program, paired by function and name.

    Weights are decoded one pair at a time, so memory is bounded by the largest.

    Raises:
        EncodingError: The parts of a weight contradict each other.
    """
    ours, theirs = _by_name(first), _by_name(second)
    for key in dict.fromkeys([*ours, *theirs]):
        yield _row(key, ours.get(key), theirs.get(key))


def signal_to_noise(first: Encoding, second: Encoding) -> float | None:
    """Returns the signal-to-noise ratio of `second` against `first` in dB; see `DiffRow`."""
    if first == second:
        return math.inf
    if first.shape != second.shape:
        return None
    noise, signal = squared_error(first, second)
    if not math.isfinite(noise) or not math.isfinite(signal):
        return None
    return snr_db(noise, signal)


def _by_name(program: Program) -> dict[tuple[str, str], Weight]:
    return {(weight.function_name, weight.constant.name): weight for weight in weights(program)}


def _row(key: tuple[str, str], first: Weight | None, second: Weight | None) -> DiffRow:
    ratio = None
    if first is not None and second is not None:
        ratio = signal_to_noise(first.encoding, second.encoding)
    for weight in (first, second):
        for tensor in tensors(weight.encoding) if weight is not None else ():
            release(tensor)
    function, name = key
    return DiffRow(
        name=name,
        function=function,
        shapes=(_shape(first), _shape(second)),
        encodings=(_words(first), _words(second)),
        nbytes=(_nbytes(first), _nbytes(second)),
        snr_db=ratio,
    )


def _shape(weight: Weight | None) -> tuple[int, ...] | None:
    return None if weight is None else weight.encoding.shape


def _words(weight: Weight | None) -> str | None:
    return None if weight is None else describe(weight.encoding)


def _nbytes(weight: Weight | None) -> int | None:
    return None if weight is None else canonical_nbytes(weight.encoding, weight.function.opset)
