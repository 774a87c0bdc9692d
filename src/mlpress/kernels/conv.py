"""Convolutions of channels-last float32 images, by one thread.

Weights are packed first, which is done once. What a convolution adds and cuts off afterwards costs nothing:
``relu(convolution + bias + residual)``, where the residual and ReLU may be left out.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from mlpress.kernels._backend import native
from mlpress.kernels.reference import conv as reference

Float32 = NDArray[np.float32]

PANEL_WIDTH: Final = 32
"""Columns of a packed matrix stand together in panels of this many."""

CHANNEL_STEP: Final = 16
"""What the number of output channels has to be a multiple of; for `winograd`, that of input channels, too."""


def is_fast() -> bool:
    """Whether these kernels are compiled for vectors of eight floats or more, and fused multiplication."""
    return native is not None and native.detected_isa() > 0


def pack_pointwise(weight: Float32) -> Float32:
    """Returns weight [channels out, channels in, 1, 1] as `pointwise` takes it, one axis."""
    return _pack(weight[:, :, 0, 0].T)


def pack_winograd(weight: Float32) -> Float32:
    """Returns weight [channels out, channels in, 3, 3] as `winograd` takes it, one axis.

    It is transformed in float64, and four times as large as before.
    """
    places = reference.transform_weight(weight)
    return np.concatenate([_pack(place) for place in places])


def pointwise(
    x: Float32, weight: Float32, bias: Float32 | None, residual: Float32 | None, out: Float32, *, relu: bool
) -> None:
    """A convolution with a window of one element.

    Args:
        x: [images, height, width, channels in], C-contiguous, as all arrays are.
        weight: As `pack_pointwise` returns it.
        bias: [channels out], which is a multiple of 16, or None.
        residual: Of the shape of `out`, or None.
        out: [images, height, width, channels out]; is written.
        relu: Whether what is negative becomes zero.

    Raises:
        ValueError: Shapes do not fit.
    """
    if native is None:
        reference.pointwise(x, weight, bias, residual, out, relu=relu)
    else:
        native.pointwise(x, weight, bias, residual, relu, out)


def winograd(
    x: Float32, weight: Float32, bias: Float32 | None, residual: Float32 | None, out: Float32, *, relu: bool
) -> None:
    """A convolution with a window of 3 x 3, a stride of 1 and one zero around the image.

    It is computed by Winograd's minimal filtering F(4 x 4, 3 x 3) (Lavin and Gray, 2015): a quarter of the
    multiplications, and sums that are rounded at other places. Infinities become NaN.

    Args:
        x: [images, height, width, channels in], C-contiguous, as all arrays are.
        weight: As `pack_winograd` returns it.
        bias: [channels out] or None; both numbers of channels are multiples of 16.
        residual: Of the shape of `out`, or None.
        out: [images, height, width, channels out]; is written.
        relu: Whether what is negative becomes zero.

    Raises:
        ValueError: Shapes do not fit.
    """
    if native is None:
        reference.winograd(x, weight, bias, residual, out, relu=relu)
    else:
        scratch = np.empty(native.winograd_scratch(x.shape[3], out.shape[3]), np.float32)
        native.winograd(x, weight, bias, residual, relu, scratch, out)


def _pack(matrix: NDArray[np.floating]) -> Float32:
    panels = (matrix[:, start : start + PANEL_WIDTH] for start in range(0, matrix.shape[1], PANEL_WIDTH))
    return np.concatenate([panel.astype(np.float32).reshape(-1) for panel in panels])
