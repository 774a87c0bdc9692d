"""Linear layers by weights that stay in their encoding: they are unpacked in registers.

Products are summed in float32. Scales go to the sums of a block: unlike in decoding, no weight is
rounded to the type of the scale.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mlpress.kernels._backend import native
from mlpress.kernels.reference import encoded as reference
from mlpress.kernels.reference.encoded import PackedWeight

_Float32 = NDArray[np.float32]

Share = Callable[[Callable[[int, int], None]], None]

BITS: Final = (1, 2, 3, 4, 6, 8)
"""Widths of elements that can be unpacked."""

_CHUNK: Final = {1: 512, 2: 256, 3: 128, 4: 128, 6: 64, 8: 32}
"""Elements that are unpacked at a time."""

_IN_WORD: Final = {1: 32, 2: 16, 3: 8, 4: 8, 6: 4}
"""Those of them that lie side by side in a word of 32 or 24 bits."""


def is_fast() -> bool:
    """Whether these kernels are compiled for vectors of sixteen floats, which can be a table."""
    return native is not None and native.detected_isa() > 1


def fits(bits: int, k: int, block: int) -> bool:
    """Whether a weight whose rows are `k` elements in blocks of `block` can be multiplied."""
    if bits not in BITS or k * bits % 8:
        return False
    if block == k or block % _CHUNK[bits] == 0:
        return True
    return bits < 8 and _CHUNK[bits] % block == 0 and block % _IN_WORD[bits] == 0


def linear(x: _Float32, weight: PackedWeight, bias: _Float32 | None, out: _Float32, share: Share) -> None:
    """Writes ``x @ weight.T + bias`` to `out`.

    Args:
        x: float32 [rows, k], C-contiguous.
        weight: [n, k].
        bias: float32 [n], or None.
        out: float32 [rows, n], C-contiguous; best at the start of a line of the caches.
        share: Calls the function it is given with (first, last) for ranges that make up the n rows of the
            weight, in any threads.

    Raises:
        ValueError: Wrong dtype or shape, or a weight that does not fit.
    """
    n, k = weight.shape
    for name, array, size in (("x", x, k), ("out", out, n)):
        if array.dtype != np.float32 or array.shape != (len(x), size) or not array.flags.c_contiguous:
            raise ValueError(
                f"{name} is {array.dtype} {array.shape}; allowed: C-contiguous float32 [rows, {size}]"
            )
    if not fits(weight.bits, k, weight.block):
        raise ValueError(f"blocks of {weight.block} in rows of {k} elements of {weight.bits} bits do not fit")
    if native is None:
        out[...] = reference.linear(x, weight, bias)
        return
    rows = _prepared(x, weight.bits)
    kernel, operands = _operands(weight)

    def multiply(first: int, last: int) -> None:
        panel = np.empty(0 if len(x) == 1 else native.encoded_panel_size(weight.bits), np.float32)
        kernel(rows, *operands, bias, first, last, panel, out)

    share(multiply)


def _prepared(x: _Float32, bits: int) -> _Float32:
    """Returns `x` as it is taken by the kernel, one axis."""
    assert native is not None  # the caller has looked
    size = native.encoded_prepared_size(*x.shape, bits)
    if not size:
        return x.reshape(-1)
    prepared = np.empty(size, np.float32)
    native.encoded_prepare(x, bits, prepared)
    return prepared


def _operands(weight: PackedWeight) -> tuple[Any, tuple[Any, ...]]:
    assert native is not None  # the caller has looked
    half = weight.scale is not None and weight.scale.dtype == np.float16
    scale = None if weight.scale is None else weight.scale.view(np.uint16 if half else np.uint32)
    offset = None if weight.offset is None else weight.offset.view(np.uint8)
    return native.encoded_multiply_half if half else native.encoded_multiply_single, (
        weight.data,
        weight.bits,
        weight.signed,
        weight.tables,
        scale,
        offset,
        float(weight.offset_base),
        weight.block,
        weight.shape[1],
    )


__all__ = ["BITS", "PackedWeight", "Share", "fits", "is_fast", "linear"]
