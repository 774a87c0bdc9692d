"""Padding of spatial axes: what `pad_type` and `pad` of convolutions and pools mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

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
    kernel: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int] | None = None,
) -> Pads:
    """Returns the padding of each spatial axis.

    Args:
        op: Name of the op, for messages.
        pad_type: ``"valid"`` pads nothing, ``"custom"`` as `pad` says. ``"same"`` pads such that there are
            ceil(size / stride) windows; what cannot be split evenly goes after, with ``"same_lower"`` before.
        pad: Before and after the first spatial axis, before and after the second, ...
        sizes: Sizes of the spatial axes.
        kernel: Elements of a window on each axis.
        strides: Steps of the window.
        dilations: Steps from element to element within a window; 1 by default.

    Raises:
        InvalidProgramError: `pad_type` is unknown, or `pad` has another length than two for each axis.
    """
    if pad_type == "valid" or (pad_type == "custom" and pad is None):
        return [(0, 0)] * len(kernel)
    if pad_type == "custom" and pad is not None:
        if len(pad) != 2 * len(kernel):
            raise InvalidProgramError(f"{op}: pad is {list(pad)}; it needs {2 * len(kernel)} entries")
        return list(zip(pad[::2], pad[1::2], strict=True))
    check_choice(op, "pad_type", pad_type, PAD_TYPES)
    pads = []
    for size, extent, stride in zip(sizes, window_extents(kernel, dilations), strides, strict=True):
        steps = (size + stride - 1) // stride - 1
        total = torch.sym_max(0, steps * stride + extent - size)  # type: ignore[no-untyped-call]
        smaller = total // 2
        pads.append((smaller, total - smaller) if pad_type == "same" else (total - smaller, smaller))
    return pads


def window_extents(kernel: Sequence[int], dilations: Sequence[int] | None) -> list[int]:
    """Returns how many elements a window spans on each axis."""
    if dilations is None:
        return list(kernel)
    return [(size - 1) * step + 1 for size, step in zip(kernel, dilations, strict=True)]


def symmetric(pads: Sequence[tuple[Any, Any]]) -> list[int] | None:
    """Returns the padding of each axis if it is known to be the same before and after it, else None."""
    for before, after in pads:
        # With unknown sizes the padding may be symbolic, and not to be compared.
        if not isinstance(before, int) or not isinstance(after, int) or before != after:
            return None
    return [before for before, _ in pads]


def pad_axes(x: Tensor, pads: Pads, fill: float) -> Tensor:
    """Returns `x` with `pads` around its last axes, filled with `fill`."""
    return F.pad(x, [amount for pair in reversed(pads) for amount in pair], value=fill)
