"""Pooling."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import numpy as np

from mlpress.converter.lowering.context import Context
from mlpress.converter.lowering.errors import LoweringError
from mlpress.converter.lowering.registry import lowers
from mlpress.converter.lowering.sizes import Size, known
from mlpress.mil import Value


def _each(value: int | Sequence[int], axes: int) -> list[int]:
    several = [value] if isinstance(value, int) else list(value)
    return several * axes if len(several) == 1 else several


def _pool(context: Context, kind: str, axes: int, x: Value, **operands: Any) -> Value:
    if context.rank(x) == axes + 2:
        return context.op(kind, x=x, **operands)
    return context.squeeze(context.op(kind, x=context.expand_dims(x, [0]), **operands), [0])


def _window(
    axes: int, kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int], ceil: bool
) -> dict[str, Any]:
    pad = [amount for amount in _each(padding, axes) for _ in range(2)]
    sizes = _each(kernel, axes)
    return {
        "kernel_sizes": sizes,
        "strides": _each(stride, axes) if stride else sizes,
        "pad_type": "custom" if any(pad) else "valid",
        "pad": pad,
        "ceil_mode": ceil,
    }


def _padded_at_the_end(context: Context, x: Value, window: dict[str, Any]) -> dict[str, Any]:
    """Returns a window whose padding does what ceil_mode does, which Core ML has for one and two axes."""
    pad = list(window["pad"])
    sizes = context.shape(x)[-len(window["strides"]) :]
    for axis, (kernel, stride) in enumerate(zip(window["kernel_sizes"], window["strides"], strict=True)):
        size = known(sizes[axis])
        if size is None:
            raise LoweringError("pooling with ceil_mode of an axis whose size is open")
        before, after = pad[2 * axis : 2 * axis + 2]
        steps = -(-(size + before + after - kernel) // stride)
        steps -= steps * stride >= size + before  # the last window has to begin before the padding at the end
        pad[2 * axis + 1] = after + max(0, steps * stride + kernel - (size + before + after))
    return {**window, "pad": pad, "pad_type": "custom" if any(pad) else "valid", "ceil_mode": False}


def _max_pool(axes: int, with_indices: bool) -> Callable[..., Any]:
    def function(
        context: Context,
        x: Value,
        kernel: Sequence[int],
        stride: Sequence[int],
        padding: Sequence[int],
        dilation: Sequence[int],
        ceil: bool,
    ) -> Any:
        window, steps = _window(axes, kernel, stride, padding, ceil), _each(dilation, axes)
        if set(steps) != {1}:
            y = _dilated_max(context, x, window, steps)
        else:
            if axes == 3 and ceil:
                window = _padded_at_the_end(context, x, window)
            y = _pool(context, "max_pool", axes, x, **window)
        return (y, None) if with_indices else y

    return function


def _dilated_max(context: Context, x: Value, window: dict[str, Any], dilation: Sequence[int]) -> Value:
    """Maxima along one axis after the other, of slices that begin at each element of the window."""
    kernel = window["kernel_sizes"]
    spans = [(count - 1) * step + 1 for count, step in zip(kernel, dilation, strict=True)]
    if window["ceil_mode"]:
        window = _padded_at_the_end(context, x, {**window, "kernel_sizes": spans})
    if any(window["pad"]):
        lowest = float(np.finfo(np.float32).min)
        x = context.op("pad", x=x, pad=window["pad"], mode="constant", constant_val=lowest)
    first = context.rank(x) - len(kernel)
    for axis, (span, step, stride) in enumerate(zip(spans, dilation, window["strides"], strict=True), first):
        starts = range(0, span, step)
        parts = [context.slice(x, axis, start, start + 1 - span or None, stride) for start in starts]
        x = reduce(lambda a, b: context.op("maximum", x=a, y=b), parts)
    return x


def _avg_pool(axes: int) -> Callable[..., Value]:
    def function(
        context: Context,
        x: Value,
        kernel: Sequence[int],
        stride: Sequence[int],
        padding: Sequence[int],
        ceil: bool,
        count_include_pad: bool,
        divisor: int | None = None,
    ) -> Value:
        window = _window(axes, kernel, stride, padding, ceil)
        exclude = not count_include_pad and divisor is None
        factor: Any = None if divisor is None else np.prod(window["kernel_sizes"]) / divisor
        if axes == 3 and ceil:
            padded = _padded_at_the_end(context, x, window)
            if not exclude and divisor is None:
                factor = _over_counted(window, padded, context.shape(x)[-axes:])
            window = padded
        y = _pool(context, "avg_pool", axes, x, **window, exclude_padding_from_average=exclude)
        return y if factor is None else context.result("mul", x=y, y=np.float32(factor))

    return function


def _over_counted(window: dict[str, Any], padded: dict[str, Any], sizes: Sequence[Size]) -> Any:
    """Returns the elements of a window over those that count: not what ceil_mode adds at the end."""
    factors: Any = np.ones(())
    for axis, (kernel, stride) in enumerate(zip(window["kernel_sizes"], window["strides"], strict=True)):
        size, (before, after) = known(sizes[axis]), window["pad"][2 * axis : 2 * axis + 2]
        assert size is not None  # else it was refused
        total = before + size + padded["pad"][2 * axis + 1]
        starts = np.arange(0, total - kernel + 1, stride)
        counted = np.minimum(starts + kernel, before + size + after) - starts
        factors = np.multiply.outer(factors, kernel / counted)
    return factors


for _axes in (1, 2, 3):
    lowers(f"aten.max_pool{_axes}d.default")(_max_pool(_axes, with_indices=False))
    lowers(f"aten.max_pool{_axes}d_with_indices.default")(_max_pool(_axes, with_indices=True))
    lowers(f"aten.avg_pool{_axes}d.default")(_avg_pool(_axes))


def _adaptive_avg(axes: int) -> Callable[..., Value]:
    def function(context: Context, x: Value, sizes: Sequence[Size | None]) -> Value:
        return _adaptive(context, x, axes, sizes, "reduce_mean", "avg_pool")

    return function


def _adaptive_max(axes: int) -> Callable[..., Any]:
    def function(context: Context, x: Value, sizes: Sequence[Size | None]) -> tuple[Value, None]:
        return _adaptive(context, x, axes, sizes, "reduce_max", "max_pool"), None

    return function


for _axes in (1, 2, 3):
    lowers(f"aten.adaptive_avg_pool{_axes}d.default", f"aten._adaptive_avg_pool{_axes}d.default")(
        _adaptive_avg(_axes)
    )
    lowers(f"aten.adaptive_max_pool{_axes}d.default")(_adaptive_max(_axes))


def _adaptive(
    context: Context, x: Value, axes: int, sizes: Sequence[Size | None], reducing: str, pool: str
) -> Value:
    rank = context.rank(x)
    spatial = list(range(rank - axes, rank))
    wanted = [known(size) if size is not None else None for size in sizes]
    if all(size == 1 for size in wanted):
        return context.op(reducing, x=x, axes=[axis - rank for axis in spatial], keep_dims=True)
    for axis, size in zip(spatial, wanted, strict=True):
        if size is not None and known(context.shape(x)[axis]) is None:
            raise LoweringError(f"adaptive pooling to {size} of an axis whose size is open; supported: 1")
    strides = [
        1 if size is None or context.size(x, axis) % size else context.size(x, axis) // size
        for axis, size in zip(spatial, wanted, strict=True)
    ]
    if any(
        size is not None and context.size(x, axis) % size for axis, size in zip(spatial, wanted, strict=True)
    ):
        return _uneven(context, x, spatial, wanted, reducing)
    padding = [0] * axes
    extra = {"exclude_padding_from_average": True} if pool == "avg_pool" else {}
    return _pool(context, pool, axes, x, **_window(axes, strides, strides, padding, False), **extra)


def _uneven(
    context: Context, x: Value, spatial: Sequence[int], wanted: Sequence[int | None], reducing: str
) -> Value:
    """Windows of different sizes: means by a product with a constant matrix, maxima window by window."""
    for axis, size in zip(spatial, wanted, strict=True):
        if size is None:
            continue
        total = context.size(x, axis)
        windows = [(i * total // size, -(-(i + 1) * total // size)) for i in range(size)]
        if reducing == "reduce_mean":
            x = _means(context, x, axis, windows, total)
        else:
            parts = [context.slice(x, axis, start, stop) for start, stop in windows]
            x = context.concat(
                [context.op(reducing, x=part, axes=[axis], keep_dims=True) for part in parts], axis
            )
    return x


def _means(context: Context, x: Value, axis: int, windows: Sequence[tuple[int, int]], total: int) -> Value:
    matrix = np.zeros((len(windows), total), np.float32)
    for row, (start, stop) in enumerate(windows):
        matrix[row, start:stop] = 1.0 / (stop - start)
    perm = list(range(context.rank(x)))
    perm[axis], perm[-1] = perm[-1], perm[axis]
    weight = context.constant(matrix, "adaptive_pool_windows")
    last = context.op("matmul", x=context.transpose(x, perm), y=weight, transpose_y=True)
    return context.transpose(last, perm)
