"""Normalizations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mlpress.converter.lowering.context import Context
from mlpress.converter.lowering.errors import LoweringError
from mlpress.converter.lowering.families.distance import norm
from mlpress.converter.lowering.registry import lowers
from mlpress.converter.lowering.sizes import Size, known
from mlpress.mil import Value


def _batch_norm(
    context: Context,
    x: Value,
    weight: Value | None,
    bias: Value | None,
    mean: Value | None,
    variance: Value | None,
    epsilon: float,
) -> Value:
    if mean is None or variance is None:
        return _of_the_batch(context, x, weight, bias, epsilon)
    if context.rank(x) == 2:
        return _of_rows(context, x, weight, bias, mean, variance, epsilon)
    operands = {"mean": mean, "variance": variance, "gamma": weight, "beta": bias, "epsilon": epsilon}
    if all(
        operand is None or context.array(operand) is not None for operand in (mean, variance, weight, bias)
    ):
        return context.typed("batch_norm", context.fake(x), x=x, **operands)  # torch infers it slowly
    y = _per_channel(context, x, None, context.op("mul", x=mean, y=-1.0))
    y = _per_channel(context, y, context.op("rsqrt", x=variance, epsilon=epsilon), None)
    return _per_channel(context, y, weight, bias)


def _of_rows(
    context: Context,
    x: Value,
    weight: Value | None,
    bias: Value | None,
    mean: Value,
    variance: Value,
    epsilon: float,
) -> Value:
    """A matrix has no spatial axis, which MIL's op wants: a product and a sum."""
    scale = context.op("rsqrt", x=variance, epsilon=epsilon)
    scale = scale if weight is None else context.op("mul", x=scale, y=weight)
    shift = context.op("mul", x=mean, y=scale)
    y = context.op("mul", x=x, y=scale)
    y = context.op("sub", x=y, y=shift)
    return y if bias is None else context.op("add", x=y, y=bias)


def _of_the_batch(
    context: Context, x: Value, weight: Value | None, bias: Value | None, epsilon: float
) -> Value:
    """Statistics of the batch itself, for a layer that keeps none."""
    axes = [axis for axis in range(context.rank(x)) if axis != 1]
    y = standardized(context, x, axes, epsilon)
    return _per_channel(context, y, weight, bias)


def standardized(context: Context, x: Value, axes: Sequence[int], epsilon: float) -> Value:
    """Returns x less its mean over `axes`, divided by its standard deviation."""
    mean = context.op("reduce_mean", x=x, axes=list(axes), keep_dims=True)
    centered = context.op("sub", x=x, y=mean)
    square = context.op("square", x=centered)
    variance = context.op("reduce_mean", x=square, axes=list(axes), keep_dims=True)
    return context.op("mul", x=centered, y=context.op("rsqrt", x=variance, epsilon=epsilon))


def _per_channel(context: Context, x: Value, weight: Value | None, bias: Value | None) -> Value:
    shape = [1, -1, *[1] * (context.rank(x) - 2)]
    if weight is not None:
        x = context.op("mul", x=x, y=context.op("reshape", x=weight, shape=shape))
    if bias is not None:
        x = context.op("add", x=x, y=context.op("reshape", x=bias, shape=shape))
    return x


@lowers("aten.batch_norm.default")
def batch_norm(
    context: Context,
    x: Value,
    weight: Value | None,
    bias: Value | None,
    mean: Value | None,
    variance: Value | None,
    training: bool,
    momentum: float,
    epsilon: float,
    cudnn: bool,
) -> Value:
    """Normalization of each channel by statistics from training."""
    del momentum, cudnn
    if training:
        mean = variance = None
    return _batch_norm(context, x, weight, bias, mean, variance, epsilon)


@lowers("aten._native_batch_norm_legit_no_training.default")
def batch_norm_no_training(
    context: Context,
    x: Value,
    weight: Value | None,
    bias: Value | None,
    mean: Value,
    variance: Value,
    momentum: float,
    epsilon: float,
) -> tuple[Value, None, None]:
    """As `batch_norm`; the statistics that it also returns have a use in training only."""
    del momentum
    return _batch_norm(context, x, weight, bias, mean, variance, epsilon), None, None


@lowers("aten._native_batch_norm_legit.no_stats")
def batch_norm_no_stats(
    context: Context,
    x: Value,
    weight: Value | None,
    bias: Value | None,
    training: bool,
    momentum: float,
    epsilon: float,
) -> tuple[Value, None, None]:
    """Normalization by the statistics of the batch."""
    del training, momentum
    return _of_the_batch(context, x, weight, bias, epsilon), None, None


@lowers(
    "aten.native_batch_norm.default", "aten._native_batch_norm_legit.default", "aten.cudnn_batch_norm.default"
)
def native_batch_norm(
    context: Context,
    x: Value,
    weight: Value | None,
    bias: Value | None,
    mean: Value | None,
    variance: Value | None,
    training: bool,
    momentum: float,
    epsilon: float,
) -> tuple[Value, None, None]:
    """As `batch_norm`."""
    del momentum
    if training:
        mean = variance = None
    return _batch_norm(context, x, weight, bias, mean, variance, epsilon), None, None


@lowers("aten.layer_norm.default")
def layer_norm(
    context: Context,
    x: Value,
    shape: Sequence[Size],
    weight: Value | None,
    bias: Value | None,
    epsilon: float,
    cudnn: bool = False,
) -> Value:
    """Normalization over the last axes, as many as `shape` has."""
    del cudnn
    axes = list(range(-len(shape), 0))
    if not all(part is None or context.array(part) is not None for part in (weight, bias)):
        y = context.typed("layer_norm", context.fake(x), x=x, axes=axes, epsilon=epsilon)
        y = y if weight is None else context.op("mul", x=y, y=weight)
        return y if bias is None else context.op("add", x=y, y=bias)
    if weight is None and bias is not None:
        weight = context.constant(np.ones([known(size) or 0 for size in shape], np.float32))
    operands = {"axes": axes, "gamma": weight, "beta": bias, "epsilon": epsilon}
    return context.typed("layer_norm", context.fake(x), x=x, **operands)


@lowers("aten.native_layer_norm.default")
def native_layer_norm(
    context: Context,
    x: Value,
    shape: Sequence[Size],
    weight: Value | None,
    bias: Value | None,
    epsilon: float,
) -> tuple[Value, None, None]:
    """As `layer_norm`; the statistics that it also returns have a use in training only."""
    return layer_norm(context, x, shape, weight, bias, epsilon), None, None


@lowers("aten.rms_norm.default", "aten._fused_rms_norm.default")
def rms_norm(
    context: Context, x: Value, shape: Sequence[Size], weight: Value | None, epsilon: float | None
) -> Any:
    """X divided by the root of its mean square over the last axes, times weight."""
    axes = list(range(-len(shape), 0))
    floor = float(np.finfo(np.float32).eps) if epsilon is None else epsilon
    mean = context.op("reduce_mean", x=context.op("square", x=x), axes=axes, keep_dims=True)
    y = context.op("mul", x=x, y=context.op("rsqrt", x=mean, epsilon=floor))
    y = y if weight is None else context.op("mul", x=y, y=weight)
    return (y, None) if isinstance(context.expected, tuple | list) else y


@lowers("aten.group_norm.default")
def group_norm(
    context: Context,
    x: Value,
    groups: int,
    weight: Value | None,
    bias: Value | None,
    epsilon: float,
    cudnn: bool = False,
) -> Value:
    """Normalization of groups of channels: each group as one long row."""
    del cudnn
    shape = context.shape(x)
    if groups == 1 and context.rank(x) == 3 and weight is None and bias is None:
        return context.op("layer_norm", x=x, axes=[1, 2], epsilon=epsilon)
    if groups == context.size(x, 1) and context.rank(x) in (3, 4):
        return _instance_norm(context, x, weight, bias, epsilon)
    rows = context.reshape(
        x, [shape[0], groups, -1] if _plain(shape[1:]) else [shape[0], groups, _rest(shape, groups)]
    )
    normalized = context.op("layer_norm", x=rows, axes=[2], epsilon=epsilon)
    return _per_channel(context, context.reshape(normalized, shape), weight, bias)


def _plain(sizes: Sequence[Size]) -> bool:
    return all(known(size) is not None for size in sizes)


def _rest(shape: Sequence[Size], groups: int) -> Size:
    rest = shape[1] // groups
    for size in shape[2:]:
        rest = rest * size
    return rest


@lowers("aten.native_group_norm.default")
def native_group_norm(
    context: Context,
    x: Value,
    weight: Value | None,
    bias: Value | None,
    batch: Size,
    channels: Size,
    area: Size,
    groups: int,
    epsilon: float,
) -> tuple[Value, None, None]:
    """As `group_norm`; the statistics that it also returns have a use in training only."""
    del batch, channels, area
    return group_norm(context, x, groups, weight, bias, epsilon), None, None


@lowers("aten.instance_norm.default")
def instance_norm(
    context: Context,
    x: Value,
    weight: Value | None,
    bias: Value | None,
    mean: Value | None,
    variance: Value | None,
    use_input_stats: bool,
    momentum: float,
    epsilon: float,
    cudnn: bool,
) -> Value:
    """Normalization of each channel of each sample; by statistics from training if the layer keeps them."""
    del momentum, cudnn
    if not use_input_stats:
        return _batch_norm(context, x, weight, bias, mean, variance, epsilon)
    if context.rank(x) == 2:
        raise LoweringError("instance_norm of an input without a spatial axis")
    return _instance_norm(context, x, weight, bias, epsilon)


def _instance_norm(
    context: Context, x: Value, weight: Value | None, bias: Value | None, epsilon: float
) -> Value:
    if context.rank(x) in (3, 4):
        channels = context.size(x, 1)
        gamma = np.ones(channels, np.float32) if weight is None else weight
        beta = np.zeros(channels, np.float32) if bias is None else bias
        return context.op("instance_norm", x=x, gamma=gamma, beta=beta, epsilon=epsilon)
    y = context.op("layer_norm", x=x, axes=list(range(2, context.rank(x))), epsilon=epsilon)
    return _per_channel(context, y, weight, bias)


@lowers("aten.local_response_norm.default")
def local_response_norm(context: Context, x: Value, size: int, alpha: float, beta: float, k: float) -> Value:
    """X divided by a power of what its neighbours among the channels are."""
    return context.op("local_response_norm", x=x, size=size, alpha=alpha, beta=beta, k=k)


@lowers("aten.linalg_vector_norm.default")
def vector_norm(
    context: Context,
    x: Value,
    order: float,
    axes: Sequence[int] | None,
    keep_dims: bool,
    *,
    dtype: Any = None,
) -> Value:
    """The norm of order 1, 2, infinity or any other over `axes`."""
    del dtype
    over = list(range(context.rank(x))) if axes is None else list(axes)
    return norm(context, x, float(order), over, keep_dims)
