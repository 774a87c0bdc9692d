"""NumPy twin of the search for scales and zero points in ``mlpress.kernels.affine``.

Candidates are arrays [B, 16] of float32. A candidate's codes give the scale that suits these codes best
(least squares), and the error at that scale: that is what candidates are compared by. The winner is then
measured as it will be stored, scale and decoded values rounded to the rows' type, against what the search
started from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlpress.kernels.reference.affine import nearest_code, tiniest
from mlpress.kernels.types import Floats

Array = NDArray[Any]
LANES = 16
STEP = np.float32(0.92)  # between the scales of the first round
MOST_EXTENSIONS = 4  # of the first round; 0.92 ** 64 is 1/200
LEAST_SCALE = 1e-30  # below (and for rows of zeros) the inverse could overflow
WIDE = np.array([0.72, 0.86, 1.0, 1.16], np.float32)
NARROW = np.array([0.93, 0.98, 1.02, 1.07], np.float32)
_ELEMENTS_AT_ONCE = 1 << 22


@dataclass(slots=True)
class Choice:
    """The best candidate of each row so far."""

    scale: Array
    zero: Array
    error: Array

    def improve(self, other: Choice) -> Array:
        """Takes over the rows where the other is better, and says which."""
        better = other.error < self.error
        self.scale = np.where(better, other.scale, self.scale)
        self.zero = np.where(better, other.zero, self.zero)
        self.error = np.where(better, other.error, self.error)
        return better


def symmetric(rows: Floats, scale: Floats, zero_point: Array, low: int, high: int) -> Floats:
    """Better scales for zero points that stay."""
    for part in _parts(rows, scale):
        start, zero = scale[part].astype(np.float32), zero_point[part].astype(np.float32)
        best = _shrink(rows[part], start, zero, low, high)
        scale[part] = _settle(rows[part], best, 1, start, zero, low, high).scale
    return scale


def asymmetric(
    rows: Floats, scale: Floats, zero_point: NDArray[np.int32], low: int, high: int
) -> tuple[Floats, NDArray[np.int32]]:
    """Better scales and zero points."""
    for part in _parts(rows, scale):
        start, zero = scale[part].astype(np.float32), zero_point[part].astype(np.float32)
        best = _shrink(rows[part], start, zero, low, high)
        for factors in (WIDE, NARROW):
            found, _ = _measure(rows[part], *_stretch(best, factors, low, high), low, high)
            best.improve(found)
        settled = _settle(rows[part], best, 3, start, zero, low, high)
        scale[part], zero_point[part] = settled.scale, settled.zero
    return scale, zero_point


def _parts(rows: Floats, scale: Floats) -> list[Array]:
    """Indices of rows worth a search, a bounded number of elements at a time."""
    indices = np.flatnonzero(scale.astype(np.float64) >= LEAST_SCALE) if rows.size else np.zeros(0, np.int64)
    count = -(-indices.size * rows.shape[1] * LANES // _ELEMENTS_AT_ONCE)
    return np.array_split(indices, count) if count else []


def _measure(rows: Floats, scale: Array, zero: Array, low: int, high: int) -> tuple[Choice, NDArray[np.intp]]:
    """The best candidates at their least-squares scales, and their lanes."""
    quotient = rows[:, None].astype(np.float32) * (1 / scale)[:, :, None]
    code = np.rint(np.clip(quotient, (low - zero)[:, :, None], (high - zero)[:, :, None]))
    error = quotient - code
    squares, products = _total(error, error), _total(error, code)
    code_squares = _total(code, code)
    shift = np.divide(products, code_squares, out=np.zeros_like(products), where=code_squares > 0)
    errors = np.square(scale.astype(np.float64)) * (squares - shift * products)
    fitted = (scale * (1 + shift)).astype(np.float32)
    lane = errors.argmin(axis=1)
    return Choice(_pick(fitted, lane), _pick(zero, lane), _pick(errors, lane)), lane


def _total(left: Array, right: Array) -> NDArray[np.float64]:
    totals: NDArray[np.float64] = np.einsum("bkn,bkn->bk", left, right, dtype=np.float64)
    return totals


def _pick(lanes: Array, lane: NDArray[np.intp]) -> Array:
    return np.take_along_axis(lanes, lane[:, None], axis=1)[:, 0]


def _shrink(rows: Floats, start: Array, zero: Array, low: int, high: int) -> Choice:
    """First round: shrinks the range on both sides, as far as that helps."""
    best = Choice(start, zero, np.full(len(rows), np.inf))
    active = np.ones(len(rows), np.bool_)
    powers = STEP ** np.arange(MOST_EXTENSIONS * LANES, dtype=np.float32).reshape(MOST_EXTENSIONS, LANES)
    zeros = np.broadcast_to(zero[:, None], (len(rows), LANES))
    for power in powers:
        found, lane = _measure(rows, start[:, None] * power, zeros, low, high)
        found.error[~active] = np.inf
        active = best.improve(found) & (lane >= LANES - 2)
        if not active.any():
            break
    return best


def _around(best: Choice, zeros: int, low: int, high: int) -> tuple[Array, Array]:
    """Scales within one step of the first round, for each of ``zeros`` neighbouring zero points."""
    lane = np.arange(LANES)
    each = LANES // zeros
    part = ((lane % each + 0.5) / each).astype(np.float32)
    zero = best.zero[:, None] + (lane // each % zeros - zeros // 2).astype(np.float32)
    return best.scale[:, None] * (STEP + part * (2 - 2 * STEP)), np.clip(zero, low, high)


def _stretch(best: Choice, factors: NDArray[np.float32], low: int, high: int) -> tuple[Array, Array]:
    """Moves both ends of the range: each lane takes one of four factors for either end."""
    bottom = ((low - best.zero) * best.scale)[:, None] * np.tile(factors, 4)
    top = ((high - best.zero) * best.scale)[:, None] * np.repeat(factors, 4)
    scale = (top - bottom) / np.float32(high - low)
    return scale, np.rint(np.clip(low - bottom / scale, low, high))


def _settle(
    rows: Floats, best: Choice, zeros: int, start: Array, start_zero: Array, low: int, high: int
) -> Choice:
    """The last round: fits the scales around a choice, and takes the best one if it beats the start."""
    fitted, _ = _measure(rows, *_around(best, zeros, low, high), low, high)
    chosen = Choice(start, start_zero, _stored_error(rows, start, start_zero, start, low, high))
    nearest = np.maximum(fitted.scale.astype(rows.dtype), tiniest(rows.dtype))
    limits = np.array([0, np.inf], rows.dtype)
    for scale in (np.nextafter(nearest, limits[0]), nearest, np.nextafter(nearest, limits[1])):
        usable = (scale > 0) & np.isfinite(scale)
        wide = np.where(usable, scale, start).astype(np.float32)
        error = _stored_error(rows, wide, fitted.zero, start, low, high)
        chosen.improve(Choice(wide, fitted.zero, np.where(usable, error, np.inf)))
    return chosen


def _stored_error(rows: Floats, scale: Array, zero: Array, unit: Array, low: int, high: int) -> Array:
    """Squared error of the decoded values, in units of the scale that the search started from."""
    bounds = (low - zero)[:, None], (high - zero)[:, None]
    code = np.rint(np.clip(rows.astype(np.float32) * (1 / scale)[:, None], *bounds))
    _, error = nearest_code(rows, code, scale[:, None], *bounds)
    errors: Array = np.square(error / unit[:, None], dtype=np.float64).sum(axis=1)
    return errors
