"""Resizing of images, rearranging of pixels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from mlpress.converter.lowering.context import Context
from mlpress.converter.lowering.errors import LoweringError
from mlpress.converter.lowering.interpolation import Array, interpolation_weights
from mlpress.converter.lowering.open_resizing import resize_open_axis
from mlpress.converter.lowering.registry import lowers
from mlpress.converter.lowering.sizes import Size, known
from mlpress.mil import Opset, Value

_MODES: Final = ("bilinear", "nearest")


@dataclass(frozen=True, slots=True)
class _Axis:
    """How one axis is resized.

    Attributes:
        old: Its size.
        new: Its size afterwards.
        factor: What positions are divided by to find where they come from; None for the ratio of the sizes.
    """

    old: Size
    new: Size
    factor: float | None

    @property
    def is_open(self) -> bool:
        """Whether only a run knows a size."""
        return known(self.old) is None or known(self.new) is None

    @property
    def ratio(self) -> float:
        """The factor, of an axis that is not open."""
        return int(self.new) / int(self.old) if self.factor is None else self.factor

    @property
    def is_plain(self) -> bool:
        """Whether the factor is just the ratio of the sizes, which is all that Core ML's ops know."""
        if self.is_open:
            return self.factor is None or self.factor == int(self.factor)
        return abs(self.ratio * int(self.old) - int(self.new)) < 1e-4


def _axes(context: Context, x: Value, scales: Sequence[float | None] | None) -> list[_Axis]:
    """Returns how the axes of an image are resized; factors are the ratios of the sizes if none are given."""
    old, new = context.shape(x)[2:], context.expected.shape[2:]
    factors = [None if scale is None else float(scale) for scale in scales or [None] * len(old)]
    return [_Axis(*each) for each in zip(old, new, factors, strict=True)]


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
    if len(axes) == 2 and (align_corners or all(axis.is_plain for axis in axes)):
        factors = [axis.factor if axis.is_open else axis.ratio for axis in axes]
        if mode.startswith("nearest") and all(factor and factor == int(factor) for factor in factors):
            return _upsampled(
                context, "upsample_nearest_neighbor", x, [int(factor or 1) for factor in factors]
            )
        if mode == "linear":
            return _bilinear(context, x, align_corners, axes)
    for index, axis in enumerate(axes, start=2):
        if axis.is_open:
            x = resize_open_axis(context, x, index, axis.new, mode, align_corners, axis.factor)
        elif axis.old != axis.new or axis.ratio != 1:
            weights = interpolation_weights(mode, int(axis.old), int(axis.new), axis.ratio, align_corners)
            x = _by_weights(context, x, index, weights)
    return x


def _bilinear(context: Context, x: Value, align_corners: bool, axes: Sequence[_Axis]) -> Value:
    mode = "STRICT_ALIGN_CORNERS" if align_corners else "UNALIGN_CORNERS"
    height, width = axes
    if not any(axis.is_open for axis in axes):
        sizes = {"target_size_height": int(height.new), "target_size_width": int(width.new)}
        return context.op("resize_bilinear", x=x, **sizes, sampling_mode=mode)
    factors = [axis.factor if axis.is_open else axis.ratio for axis in axes]
    if None not in factors:
        return _upsampled(context, "upsample_bilinear", x, factors, align_corners=align_corners)
    if context.opset >= Opset.CoreML7:
        wanted = [height.new, width.new]
        fake = context.fake(x).new_empty([*context.shape(x)[:2], *wanted])
        operands = {"shape": context.sizes.vector(wanted), "resized_dims": np.uint32(2)}
        modes = {"interpolation_mode": "LINEAR", "sampling_mode": mode}
        return context.typed("resize", fake, x=x, **operands, **modes)
    for index, axis in enumerate(axes, start=2):
        x = resize_open_axis(context, x, index, axis.new, "linear", align_corners, axis.factor)
    return x


def _upsampled(context: Context, kind: str, x: Value, factors: Sequence[Any], **operands: Any) -> Value:
    height, width = factors
    return context.op(kind, x=x, scale_factor_height=height, scale_factor_width=width, **operands)


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
