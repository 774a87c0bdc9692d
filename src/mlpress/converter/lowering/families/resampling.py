"""Resizing of images, rearranging of pixels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from mlpress.converter.lowering.context import Context
from mlpress.converter.lowering.errors import LoweringError
from mlpress.converter.lowering.interpolation import Array, interpolation_weights
from mlpress.converter.lowering.registry import lowers
from mlpress.converter.lowering.sizes import Size, known
from mlpress.mil import Opset, Value

_MODES: Final = ("bilinear", "nearest")


@dataclass(frozen=True, slots=True)
class _Axis:
    """How one axis is resized.

    Attributes:
        old: Its size, None if it is open.
        new: Its size afterwards, None likewise.
        factor: What positions are divided by to find where they come from.
    """

    old: int | None
    new: int | None
    factor: float

    @property
    def is_plain(self) -> bool:
        """Whether the factor is just the ratio of the sizes, which is all that Core ML's ops know."""
        if self.old is None or self.new is None:
            return True
        return abs(self.factor * self.old - self.new) < 1e-4


def _axes(context: Context, x: Value, scales: Sequence[float | None] | None) -> list[_Axis]:
    """Returns how the axes of an image are resized; factors are the ratios of the sizes if none are given."""
    old = [known(size) for size in context.shape(x)[2:]]
    new = [known(size) for size in context.expected.shape[2:]]
    made: list[_Axis] = []
    for before, after, scale in zip(old, new, scales or [None] * len(old), strict=True):
        if scale is None and (before is None or after is None):
            raise LoweringError("an image of open size is resized to a given size; supported: a scale factor")
        ratio = after / before if before and after else 1.0
        made.append(_Axis(before, after, ratio if scale is None else float(scale)))
    return made


def _by_vector(mode: str) -> Callable[..., Value]:
    """The overloads that `torch.nn.functional.interpolate` calls: sizes, or factors."""

    def plain(
        context: Context, x: Value, sizes: Sequence[Size] | None, scales: Sequence[float] | None
    ) -> Value:
        return _resized(context, x, mode, False, _axes(context, x, None if sizes is not None else scales))

    def with_corners(
        context: Context,
        x: Value,
        sizes: Sequence[Size] | None,
        align_corners: bool,
        scales: Sequence[float] | None,
    ) -> Value:
        return _resized(
            context, x, mode, align_corners, _axes(context, x, None if sizes is not None else scales)
        )

    return plain if mode.startswith("nearest") else with_corners


def _by_sizes(mode: str) -> Callable[..., Value]:
    """The overloads of core ATen: sizes, and perhaps a factor for each axis."""

    def plain(context: Context, x: Value, sizes: Sequence[Size], *scales: float | None) -> Value:
        del sizes
        return _resized(context, x, mode, False, _axes(context, x, scales))

    def with_corners(
        context: Context, x: Value, sizes: Sequence[Size], align_corners: bool, *scales: float | None
    ) -> Value:
        del sizes
        return _resized(context, x, mode, align_corners, _axes(context, x, scales))

    return plain if mode.startswith("nearest") else with_corners


for _name, _mode in {
    "upsample_nearest1d": "nearest",
    "upsample_nearest2d": "nearest",
    "upsample_nearest3d": "nearest",
    "_upsample_nearest_exact1d": "nearest_exact",
    "_upsample_nearest_exact2d": "nearest_exact",
    "_upsample_nearest_exact3d": "nearest_exact",
    "upsample_linear1d": "linear",
    "upsample_bilinear2d": "linear",
    "upsample_trilinear3d": "linear",
    "upsample_bicubic2d": "cubic",
    "_upsample_bilinear2d_aa": "linear_antialias",
    "_upsample_bicubic2d_aa": "cubic_antialias",
}.items():
    lowers(f"aten.{_name}.vec")(_by_vector(_mode))
    lowers(f"aten.{_name}.default")(_by_sizes(_mode))


def _resized(context: Context, x: Value, mode: str, align_corners: bool, axes: Sequence[_Axis]) -> Value:
    if len(axes) == 1:
        wide = context.expand_dims(x, [2])
        return context.squeeze(_image(context, wide, mode, align_corners, [_Axis(1, 1, 1.0), *axes]), [2])
    return _image(context, x, mode, align_corners, axes)


def _image(context: Context, x: Value, mode: str, align_corners: bool, axes: Sequence[_Axis]) -> Value:
    factors = [axis.factor for axis in axes]
    simple = len(axes) == 2 and (align_corners or all(axis.is_plain for axis in axes))
    if simple and mode.startswith("nearest") and all(factor == int(factor) for factor in factors):
        return context.op(
            "upsample_nearest_neighbor",
            x=x,
            scale_factor_height=int(factors[0]),
            scale_factor_width=int(factors[1]),
        )
    if simple and mode == "linear":
        return _bilinear(context, x, align_corners, axes)
    for index, axis in enumerate(axes, start=2):
        if axis.old != axis.new or axis.factor != 1:
            x = _by_weights(context, x, index, _weights(mode, align_corners, axis))
    return x


def _bilinear(context: Context, x: Value, align_corners: bool, axes: Sequence[_Axis]) -> Value:
    height, width = axes
    if None in (height.old, width.old):
        return context.op(
            "upsample_bilinear",
            x=x,
            scale_factor_height=height.factor,
            scale_factor_width=width.factor,
            align_corners=align_corners,
        )
    mode = "STRICT_ALIGN_CORNERS" if align_corners else "UNALIGN_CORNERS"
    return context.op(
        "resize_bilinear", x=x, target_size_height=height.new, target_size_width=width.new, sampling_mode=mode
    )


def _weights(mode: str, align_corners: bool, axis: _Axis) -> Array:
    if axis.old is None or axis.new is None:
        raise LoweringError(f"an image of open size is resized ({mode}) by a factor without an op for it")
    return interpolation_weights(mode, axis.old, axis.new, axis.factor, align_corners)


def _by_weights(context: Context, x: Value, axis: int, weights: Array) -> Value:
    """Resizes one axis by a product with a constant matrix."""
    perm = list(range(context.rank(x)))
    perm[axis], perm[-1] = perm[-1], perm[axis]
    weight = context.constant(weights, "interpolation_weights")
    if axis == context.rank(x) - 2:
        return context.op("matmul", x=weight, y=x)
    product = context.op("matmul", x=context.transpose(x, perm), y=weight, transpose_y=True)
    return context.transpose(product, perm)


@lowers("aten.grid_sampler.default", "aten.grid_sampler_2d.default")
def grid_sampler(
    context: Context, x: Value, grid: Value, interpolation: int, padding: int, align_corners: bool
) -> Value:
    """X at the positions in `grid`."""
    if interpolation > 1 or context.rank(x) != 4:
        raise LoweringError("grid sampling is supported for images, bilinear or nearest")
    return context.result(
        "resample",
        x=x,
        coordinates=grid,
        sampling_mode=_MODES[interpolation],
        padding_mode=("constant", "border", "reflection" if align_corners else "symmetric")[padding],
        padding_value=0.0,
        coordinates_mode="normalized_minus_one_to_one",
        align_corners=align_corners,
    )


@lowers("aten.pixel_shuffle.default")
def pixel_shuffle(context: Context, x: Value, factor: int) -> Value:
    """Channels to blocks of pixels."""
    return _on_batches(context, "pixel_shuffle", x, upscale_factor=factor)


@lowers("aten.pixel_unshuffle.default")
def pixel_unshuffle(context: Context, x: Value, factor: int) -> Value:
    """Blocks of pixels to channels."""
    if context.opset >= Opset.CoreML6:
        return _on_batches(context, "pixel_unshuffle", x, downscale_factor=np.uint32(factor))
    y = _on_batches(context, "space_to_depth", x, block_size=factor)  # blocks first, then channels
    batch, channels, height, width = context.shape(y)
    blocks = context.reshape(y, [batch, factor * factor, channels // (factor * factor), height * width])
    return context.reshape(context.transpose(blocks, [0, 2, 1, 3]), [batch, channels, height, width])


def _on_batches(context: Context, kind: str, x: Value, **operands: Any) -> Value:
    if context.rank(x) == 4:
        return context.op(kind, x=x, **operands)
    if context.rank(x) != 3:
        raise LoweringError(f"{kind} of a tensor of rank {context.rank(x)}; supported: 3 and 4")
    return context.squeeze(context.op(kind, x=context.expand_dims(x, [0]), **operands), [0])


@lowers("aten.channel_shuffle.default", "aten.native_channel_shuffle.default")
def channel_shuffle(context: Context, x: Value, groups: int) -> Value:
    """Channels of the groups by turns."""
    parts = context.ops("split", x=x, num_splits=groups, axis=1)
    return context.op("concat", values=list(parts), axis=1, interleave=True)
