"""Values around a tensor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mlpress.converter.lowering.context import Context, Operand
from mlpress.converter.lowering.errors import LoweringError
from mlpress.converter.lowering.registry import lowers
from mlpress.converter.lowering.sizes import Size, known
from mlpress.mil import Value


@lowers("aten.constant_pad_nd.default")
def constant_pad(context: Context, x: Value, pads: Sequence[Size], value: Operand = 0) -> Value:
    """A constant around x; negative amounts cut off."""
    plain = [known(pad) for pad in pads]
    if None in plain:
        raise LoweringError("padding by an amount that only a run knows")
    return _padded(context, x, [pad or 0 for pad in plain], "constant", value)


@lowers("aten.pad.default")
def pad(
    context: Context, x: Value, pads: Sequence[Size], mode: str = "constant", value: float | None = None
) -> Value:
    """A border around x."""
    if mode == "circular":
        return _circular(context, x, [known(pad) or 0 for pad in pads])
    if mode == "constant":
        return constant_pad(context, x, pads, 0 if value is None else value)
    return _padded(context, x, [known(pad) or 0 for pad in pads], mode, 0)


def _circular(context: Context, x: Value, pads: Sequence[int]) -> Value:
    """What lies at one end of an axis goes around to the other."""
    for index in range(len(pads) // 2):
        before, after = pads[2 * index : 2 * index + 2]
        axis = context.rank(x) - 1 - index
        parts = [context.slice(x, axis, -before, None)] if before else []
        parts += [x, context.slice(x, axis, 0, after)] if after else [x]
        x = context.concat(parts, axis)
    return x


def _mode(mode: str) -> Any:
    def function(context: Context, x: Value, pads: Sequence[Size]) -> Value:
        return _padded(context, x, [known(pad) or 0 for pad in pads], mode, 0)

    return function


for _axes in (1, 2, 3):
    lowers(f"aten.reflection_pad{_axes}d.default")(_mode("reflect"))
    lowers(f"aten.replication_pad{_axes}d.default")(_mode("replicate"))


def _padded(context: Context, x: Value, pads: Sequence[int], mode: str, value: Operand) -> Value:
    """Pads come from the last axis on; those of MIL in the order of the axes."""
    pairs = [(pads[i], pads[i + 1]) for i in range(0, len(pads), 2)][::-1]
    first = context.rank(x) - len(pairs)
    for axis, (before, after) in enumerate(pairs, start=first):
        if before < 0 or after < 0:
            x = context.slice(x, axis, max(-before, 0), min(after, 0) or None)
    flat = [max(amount, 0) for pair in pairs for amount in pair]
    while len(flat) > 2 and flat[:2] == [0, 0] and mode == "constant":
        flat = flat[2:]
    if not any(flat):
        return x
    dtype = context.dtype(x)
    if mode != "constant" and sum(amount > 0 for amount in flat) and len(flat) > 4:
        return _one_axis_at_a_time(context, x, flat, mode)
    floats = context.floats(x)
    fill = float(value) if isinstance(value, int | float) else context.array(value)  # type: ignore[arg-type]
    padded = context.op("pad", x=floats, pad=flat, mode=mode, constant_val=fill)
    return context.cast(padded, dtype)


def _one_axis_at_a_time(context: Context, x: Value, flat: Sequence[int], mode: str) -> Value:
    """Core ML reflects and replicates along the last two axes only; others are moved there."""
    rank = context.rank(x)
    first = rank - len(flat) // 2
    for axis in range(first, rank):
        amounts = flat[2 * (axis - first) : 2 * (axis - first) + 2]
        if any(amounts):
            perm = list(range(rank))
            perm[axis], perm[-1] = perm[-1], perm[axis]
            moved = context.op(
                "pad", x=context.transpose(x, perm), pad=list(amounts), mode=mode, constant_val=0.0
            )
            x = context.transpose(moved, perm)
    return x
