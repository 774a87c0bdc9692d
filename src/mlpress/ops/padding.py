"""Padding of spatial axes: what `pad_type` and `pad` of convolutions and pools mean."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from mlpress.errors import InvalidProgramError
from mlpress.ops.operands import check_choice

Pads = Sequence[tuple[int, int]]
"""For each spatial axis: what is added before it and after it."""

PAD_TYPES = ("valid", "custom", "same", "same_lower")


def window_pads(
    op: str,
    pad_type: str,
    pad: Sequence[int] | None,
    sizes: Sequence[int],
    extents: Sequence[int],
    strides: Sequence[int],
) -> Pads:
    """Returns the padding of each spatial axis.

    Args:
        op: Name of the op, for messages.
        pad_type: ``"valid"`` pads nothing, ``"custom"`` as `pad` says. ``"same"`` pads such that there are
            ceil(size / stride) windows; what cannot be split evenly goes after, with ``"same_lower"`` before.
        pad: Before and after the first spatial axis, before and after the second, ...
        sizes: Sizes of the spatial axes.
        extents: Elements that a window spans on each axis, dilation included.
        strides: Steps of the window.

    Raises:
        InvalidProgramError: `pad_type` is unknown, or `pad` has another length than two for each axis.
    """
    if pad_type == "valid" or (pad_type == "custom" and pad is None):
        return [(0, 0)] * len(extents)
    if pad_type == "custom" and pad is not None:
        if len(pad) != 2 * len(extents):
            raise InvalidProgramError(f"{op}: pad is {list(pad)}; it needs {2 * len(extents)} entries")
        return list(zip(pad[::2], pad[1::2], strict=True))
    check_choice(op, "pad_type", pad_type, PAD_TYPES)
    pads = []
    for size, extent, stride in zip(sizes, extents, strides, strict=True):
        steps = (size + stride - 1) // stride - 1
        total = torch.sym_max(0, steps * stride + extent - size)  # type: ignore[no-untyped-call]
        smaller = total // 2
        pads.append((smaller, total - smaller) if pad_type == "same" else (total - smaller, smaller))
    return pads


def symmetric(pads: Pads) -> list[int] | None:
    """Returns the padding of each axis if it is known to be the same before and after it, else None."""
    befores = [before for before, _ in pads]
    # With unknown sizes the padding may be symbolic, and not to be compared.
    known = all(isinstance(amount, int) for pair in pads for amount in pair)
    return befores if known and befores == [after for _, after in pads] else None


def pad_axes(x: Tensor, pads: Pads, fill: float) -> Tensor:
    """Returns `x` with `pads` around its last axes, filled with `fill`."""
    return F.pad(x, [amount for pair in reversed(pads) for amount in pair], value=fill)
