"""NumPy twins of the convolutions."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Float32 = NDArray[np.float32]

# F(4 x 4, 3 x 3) by the points 0, 1, -1, 2, -2 and infinity: out = A^T ((G w G^T) * (B^T x B)) A.
WEIGHT: Final = np.array(
    [
        [1 / 4, 0, 0],
        [-1 / 6, -1 / 6, -1 / 6],
        [-1 / 6, 1 / 6, -1 / 6],
        [1 / 24, 1 / 12, 1 / 6],
        [1 / 24, -1 / 12, 1 / 6],
        [0, 0, 1],
    ]
)
INPUT: Final = np.array(
    [
        [4, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ],
    np.float32,
)
OUTPUT: Final = np.array(
    [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]], np.float32
)
_PANEL_WIDTH: Final = 32
_CHANNEL_STEP: Final = 16


def transform_weight(weight: Float32) -> NDArray[np.float64]:
    """Returns weight [out, in, 3, 3] transformed, [36, in, out]."""
    both_axes = np.kron(WEIGHT, WEIGHT)
    places = both_axes @ weight.astype(np.float64).reshape(-1, 9).T
    return places.reshape(36, *weight.shape[:2]).transpose(0, 2, 1)


def pointwise(
    x: Float32, weight: Float32, bias: Float32 | None, residual: Float32 | None, out: Float32, *, relu: bool
) -> None:
    """See `mlpress.kernels.conv.pointwise`."""
    _check(x, weight, bias, residual, out, matrices=1)
    (matrix,) = _unpack(weight, 1, x.shape[3], out.shape[3])
    out[...] = _finish(x @ matrix, bias, residual, relu)


def winograd(
    x: Float32, weight: Float32, bias: Float32 | None, residual: Float32 | None, out: Float32, *, relu: bool
) -> None:
    """See `mlpress.kernels.conv.winograd`."""
    _check(x, weight, bias, residual, out, matrices=36)
    if x.shape[3] % _CHANNEL_STEP:
        raise ValueError("the number of input channels is no multiple of 16")
    images, height, width, channels = x.shape
    down, across = -(-height // 4), -(-width // 4)
    padded = np.zeros((images, 4 * down + 2, 4 * across + 2, channels), np.float32)
    padded[:, 1 : height + 1, 1 : width + 1] = x
    tiles = sliding_window_view(padded, (6, 6), (1, 2))[:, ::4, ::4]  # [images, down, across, channels, 6, 6]
    spread = (INPUT @ tiles @ INPUT.T).reshape(-1, channels, 36).transpose(2, 0, 1)
    products = spread @ _unpack(weight, 36, channels, out.shape[3])  # [36, tiles, channels out]
    places = products.transpose(1, 2, 0).reshape(images, down, across, -1, 6, 6)
    whole = (OUTPUT @ places @ OUTPUT.T).transpose(0, 1, 4, 2, 5, 3)
    whole = whole.reshape(images, 4 * down, 4 * across, -1)
    out[...] = _finish(whole[:, :height, :width], bias, residual, relu)


def _finish(sums: NDArray[Any], bias: Float32 | None, residual: Float32 | None, relu: bool) -> NDArray[Any]:
    if bias is not None:
        sums = sums + bias
    if residual is not None:
        sums = sums + residual
    return np.maximum(sums, 0) if relu else sums


def _unpack(weight: Float32, matrices: int, rows: int, columns: int) -> NDArray[Any]:
    parts = []
    for matrix in weight.reshape(matrices, -1):
        starts = range(0, columns, _PANEL_WIDTH)
        panels = np.split(matrix, [start * rows for start in starts][1:])
        parts.append(np.concatenate([panel.reshape(rows, -1) for panel in panels], axis=1))
    return np.stack(parts)


def _check(
    x: Float32, weight: Float32, bias: Float32 | None, residual: Float32 | None, out: Float32, matrices: int
) -> None:
    if x.ndim != 4 or out.ndim != 4 or x.shape[:3] != out.shape[:3]:
        raise ValueError("the output has another shape than the image")
    if weight.size != matrices * x.shape[3] * out.shape[3]:
        raise ValueError("the weight has the wrong size")
    if out.shape[3] % _CHANNEL_STEP:
        raise ValueError("the number of output channels is no multiple of 16")
    if bias is not None and bias.shape != out.shape[3:]:
        raise ValueError("one bias for each output channel is needed")
    if residual is not None and residual.shape != out.shape:
        raise ValueError("the residual has another shape than the output")
