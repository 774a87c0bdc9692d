"""What one output of an operator sums over, for each output of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from math import prod
from typing import Any, Final

from torch import Tensor

from mlpress import ops
from mlpress.ops.padding import pad_axes, window_extents, window_pads

_PART: Final = 1 << 24
"""Elements of windows at a time."""

Rows = Iterator[Tensor]
"""[groups, n, columns] each, float32."""


def conv_rows(arguments: Mapping[str, Any]) -> Rows:
    """Yields the windows of a convolution, a few rows of the output at a time."""
    x, weight = arguments["x"], arguments["weight"]
    kernel, groups = weight.shape[2:], arguments.get("groups", 1)
    ones = (1,) * len(kernel)
    strides, dilations = arguments.get("strides") or ones, arguments.get("dilations") or ones
    pad_type, pad = arguments.get("pad_type", "valid"), arguments.get("pad")
    windows = pad_axes(x, window_pads("conv", pad_type, pad, x.shape[2:], kernel, strides, dilations), 0)
    spans = window_extents(kernel, dilations)
    for axis, (span, stride, dilation) in enumerate(zip(spans, strides, dilations, strict=True)):
        windows = windows.unfold(2 + axis, span, stride)[..., ::dilation]
    rank, columns = len(kernel), weight[0].numel()
    # [n, channels, *output, *kernel] to [n, first output axis, other output axes, channels, *kernel]
    windows = windows.movedim(1, 1 + rank)
    step = max(1, _PART // max(1, columns * groups * prod(windows.shape[2 : 1 + rank])))
    for image in windows:
        for part in image.split(step):
            flat = part.reshape(-1, groups, columns)
            yield flat.transpose(0, 1)


def linear_rows(arguments: Mapping[str, Any]) -> Rows:
    """Yields the vectors that a linear operator takes."""
    yield _vectors(arguments["x"])


def matmul_x_rows(arguments: Mapping[str, Any]) -> Rows:
    """Yields the vectors that a product with a weight on its left takes."""
    y = arguments["y"]
    yield _vectors(y if arguments.get("transpose_y") or y.dim() == 1 else y.transpose(-1, -2))


def matmul_y_rows(arguments: Mapping[str, Any]) -> Rows:
    """Yields the vectors that a product with a weight on its right takes."""
    x = arguments["x"]
    yield _vectors(x.transpose(-1, -2) if arguments.get("transpose_x") and x.dim() > 1 else x)


def _vectors(x: Tensor) -> Tensor:
    return x.reshape(1, -1, x.shape[-1])


ROWS: Final[Mapping[tuple[Callable[..., Any], str], Callable[[Mapping[str, Any]], Rows]]] = {
    (ops.conv.conv, "weight"): conv_rows,
    (ops.linear.linear, "weight"): linear_rows,
    (ops.linear.matmul, "x"): matmul_x_rows,
    (ops.linear.matmul, "y"): matmul_y_rows,
}
"""By function of the catalogue and the parameter that the weight is."""
