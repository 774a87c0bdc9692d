"""Convolutions, transposed ones included."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mlpress.converter.lowering.context import Context
from mlpress.converter.lowering.errors import LoweringError
from mlpress.converter.lowering.registry import lowers
from mlpress.mil import Value


@lowers(
    "aten.conv1d.default",
    "aten.conv2d.default",
    "aten.conv3d.default",
    "aten.conv1d.padding",
    "aten.conv2d.padding",
    "aten.conv3d.padding",
)
def conv(
    context: Context,
    x: Value,
    weight: Value,
    bias: Value | None,
    stride: Sequence[int],
    padding: Sequence[int] | str,
    dilation: Sequence[int],
    groups: int,
) -> Value:
    """Cross-correlation over one to three spatial axes; without a batch axis one is added."""
    axes = context.rank(weight) - 2
    if isinstance(padding, str):
        pad = _same_padding(context, weight, dilation, axes) if padding == "same" else [0] * (2 * axes)
    else:
        pad = [amount for amount in _each(padding, axes) for _ in range(2)]
    batched = context.rank(x) == axes + 2
    operands = {
        "weight": weight,
        "bias": bias,
        "strides": _each(stride, axes),
        "pad_type": "custom" if any(pad) else "valid",
        "pad": pad,
        "dilations": _each(dilation, axes),
        "groups": groups,
    }
    if batched:
        return context.result("conv", x=x, **operands)
    return context.squeeze(context.op("conv", x=context.expand_dims(x, [0]), **operands), [0])


def _same_padding(context: Context, weight: Value, dilation: Sequence[int], axes: int) -> list[int]:
    pads: list[int] = []
    for axis, step in enumerate(_each(dilation, axes)):
        total = step * (context.size(weight, 2 + axis) - 1)
        pads += [total // 2, total - total // 2]
    return pads


def _each(value: int | Sequence[int], axes: int) -> list[int]:
    several = [value] if isinstance(value, int) else list(value)
    return several * axes if len(several) == 1 else several


@lowers("aten.conv_transpose1d.default", "aten.conv_transpose2d.input", "aten.conv_transpose3d.input")
def conv_transpose(
    context: Context,
    x: Value,
    weight: Value,
    bias: Value | None,
    stride: Sequence[int],
    padding: Sequence[int],
    output_padding: Sequence[int],
    groups: int,
    dilation: Sequence[int],
) -> Value:
    """The transposed convolution; output padding is taken off the padding at the end."""
    axes = context.rank(weight) - 2
    batched = context.rank(x) == axes + 2
    pad: list[int] = []
    for before, extra in zip(_each(padding, axes), _each(output_padding, axes), strict=True):
        pad += [before, before - extra]
    missing = [-amount if amount < 0 else 0 for amount in pad]
    pad = [max(amount, 0) for amount in pad]
    operands = {
        "weight": weight,
        "bias": bias if not any(missing) else None,
        "strides": _each(stride, axes),
        "pad_type": "custom" if any(pad) else "valid",
        "pad": pad,
        "dilations": _each(dilation, axes),
        "groups": groups,
    }
    x = x if batched else context.expand_dims(x, [0])
    if batched and not any(missing):
        return context.result("conv_transpose", x=x, **operands)
    y = context.op("conv_transpose", x=x, **operands)
    if any(missing):  # more output than the kernels reach: the bias alone
        y = context.op("pad", x=y, pad=[0, 0, 0, 0, *missing], mode="constant", constant_val=0.0)
        if bias is not None:
            y = context.op("add", x=y, y=context.op("reshape", x=bias, shape=[1, -1, *[1] * axes]))
    return y if batched else context.squeeze(y, [0])


@lowers("aten.convolution.default", "aten._convolution.default")
def convolution(
    context: Context,
    x: Value,
    weight: Value,
    bias: Value | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
    *rest: bool,
) -> Value:
    """Either of the above, as core ATen has it."""
    del rest
    if transposed:
        return conv_transpose(context, x, weight, bias, stride, padding, output_padding, groups, dilation)
    return conv(context, x, weight, bias, stride, padding, dilation, groups)


@lowers("aten.im2col.default")
def im2col(
    context: Context,
    x: Value,
    kernel: Sequence[int],
    dilation: Sequence[int],
    padding: Sequence[int],
    stride: Sequence[int],
) -> Value:
    """Windows as columns, by a convolution with a kernel of the identity."""
    if context.rank(x) != 4:
        raise LoweringError("unfold of an image without a batch axis")
    height, width = kernel
    count, channels = height * width, context.size(x, 1)
    one_each = np.eye(count, dtype=np.float32).reshape(count, 1, height, width)
    identity = context.constant(np.tile(one_each, (channels, 1, 1, 1)), "windows")
    pad = [amount for amount in padding for _ in range(2)]
    windows = context.op(
        "conv",
        x=x,
        weight=identity,
        strides=list(stride),
        pad_type="custom",
        pad=pad,
        dilations=list(dilation),
        groups=channels,
    )
    shape = [context.shape(windows)[0], channels * count, -1]
    return context.result("reshape", x=windows, shape=context.sizes.vector(shape))


@lowers("aten.col2im.default")
def col2im(
    context: Context,
    x: Value,
    sizes: Sequence[int],
    kernel: Sequence[int],
    dilation: Sequence[int],
    padding: Sequence[int],
    stride: Sequence[int],
) -> Value:
    """The sum of windows at their places, by a transposed convolution with a kernel of the identity."""
    count = kernel[0] * kernel[1]
    channels = context.size(x, 1) // count
    one_each = np.eye(count, dtype=np.float32).reshape(count, 1, *kernel)
    weight = context.constant(np.tile(one_each, (channels, 1, 1, 1)), "windows")
    spans = [step * (width - 1) + 1 for step, width in zip(dilation, kernel, strict=True)]
    padded = [size + 2 * pad - span for size, pad, span in zip(sizes, padding, spans, strict=True)]
    windows = [room // step + 1 for room, step in zip(padded, stride, strict=True)]
    rest = [room % step for room, step in zip(padded, stride, strict=True)]
    image = context.reshape(x, [context.shape(x)[0], channels * count, *windows])
    return conv_transpose(context, image, weight, None, stride, padding, rest, channels, dilation)
