"""Rounding to integers and back: fake quantization, and the operators of quantized graphs (pt2e)."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch

from mlpress import bits
from mlpress.bits import DType, Tensor
from mlpress.converter.lowering.context import Context
from mlpress.converter.lowering.errors import LoweringError
from mlpress.converter.lowering.registry import lowers
from mlpress.encoding import Affine, Dense, Encoding, spread
from mlpress.mil import Literal, Opset, TensorType, Value, canonical, why_illegal

_Array = npt.NDArray[Any]

_TYPES: Final[dict[tuple[int, int], Any]] = {(0, 255): np.uint8, (-128, 127): np.int8}
_NARROWEST_FIRST: Final = (bits.INT4, bits.UINT4, bits.INT8, bits.UINT8)
_DECOMPOSED: Final = "quantized_decomposed"


@lowers("aten.fake_quantize_per_tensor_affine.default", "aten.fake_quantize_per_tensor_affine.tensor_qparams")
def fake_per_tensor(context: Context, x: Value, scale: Any, zero: Any, low: int, high: int) -> Value:
    """The nearest of the values ``scale * (integer - zero)`` with an integer from low to high."""
    return fake_per_channel(context, x, scale, zero, None, low, high)


@lowers("aten.fake_quantize_per_channel_affine.default")
def fake_per_channel(
    context: Context, x: Value, scale: Any, zero: Any, axis: int | None, low: int, high: int
) -> Value:
    """The same with a scale and a zero point for each index along an axis."""
    constant = context.builder.inference.constant(x)
    if constant is not None and not isinstance(constant.data, Literal | Dense):
        return x  # a weight that is stored as integers is on this grid already
    integers = _quantized(context, x, scale, zero, axis, low, high)
    return _dequantized(context, integers, scale, zero, axis, low, high)


@lowers(f"{_DECOMPOSED}.quantize_per_tensor.default", f"{_DECOMPOSED}.quantize_per_tensor.tensor")
def per_tensor(context: Context, x: Value, scale: Any, zero: Any, low: int, high: int, dtype: Any) -> Value:
    """The integer from low to high that stands for the value nearest to each element."""
    del dtype
    return _quantized(context, x, scale, zero, None, low, high)


@lowers(f"{_DECOMPOSED}.quantize_per_channel.default")
def per_channel(
    context: Context, x: Value, scale: Any, zero: Any, axis: int, low: int, high: int, dtype: Any
) -> Value:
    """The same with a scale and a zero point for each index along an axis."""
    del dtype
    return _quantized(context, x, scale, zero, axis, low, high)


@lowers(f"{_DECOMPOSED}.dequantize_per_tensor.default", f"{_DECOMPOSED}.dequantize_per_tensor.tensor")
def from_integers(
    context: Context,
    x: Value,
    scale: Any,
    zero: Any,
    low: int,
    high: int,
    dtype: Any,
    *,
    out_dtype: Any = None,
) -> Value:
    """``scale * (x - zero)``."""
    del dtype, out_dtype
    return _dequantized(context, x, scale, zero, None, low, high)


@lowers(f"{_DECOMPOSED}.dequantize_per_channel.default")
def from_integers_per_channel(
    context: Context,
    x: Value,
    scale: Any,
    zero: Any,
    axis: int,
    low: int,
    high: int,
    dtype: Any,
    *,
    out_dtype: Any = None,
) -> Value:
    """The same with a scale and a zero point for each index along an axis."""
    del dtype, out_dtype
    return _dequantized(context, x, scale, zero, axis, low, high)


@lowers(f"{_DECOMPOSED}.quantize_per_channel_group.default")
def per_group(
    context: Context, x: Value, scales: Any, zeros: Any, low: int, high: int, dtype: Any, group_size: int
) -> Value:
    """The integers of a weight, with a scale and a zero point for each `group_size` elements of a row."""
    del dtype, group_size
    values, factors, middle = _in_groups(context, x, scales, zeros)
    # The order of torch's own steps, so that ties go the same way.
    steps = values * spread(1 / factors, values.shape) + spread(middle, values.shape)
    return context.successor(x, np.rint(steps).clip(low, high).astype(np.int32))


@lowers(f"{_DECOMPOSED}.dequantize_per_channel_group.default")
def from_integers_per_group(
    context: Context,
    x: Value,
    scales: Any,
    zeros: Any,
    low: int,
    high: int,
    dtype: Any,
    group_size: int,
    out_dtype: Any,
) -> Value:
    """``scale * (x - zero)``, with a scale and a zero point for each `group_size` elements of a row."""
    del dtype, group_size, out_dtype
    integers, factors, middle = _in_groups(context, x, scales, zeros)
    return context.successor(x, _weight(context.opset, integers, factors, middle, low, high))


def _in_groups(context: Context, x: Value, scales: Any, zeros: Any) -> tuple[_Array, _Array, _Array]:
    """Returns a weight, and its scales and zero points, one for each group of each row.

    Raises:
        LoweringError: One of them is no constant.
    """
    weight, factors, middle = context.array(x), _known(context, scales), _known(context, zeros, 0)
    if weight is None or factors is None or middle is None:
        raise LoweringError(f"{x.name!r} is no constant; only weights can be rounded in groups")
    rows = len(weight)
    return (
        weight,
        factors.reshape(rows, -1),
        np.broadcast_to(middle.reshape(-1), factors.size).reshape(rows, -1),
    )


def _quantized(
    context: Context, x: Value, scale: Any, zero: Any, axis: int | None, low: int, high: int
) -> Value:
    """Returns integers: of 8 bits by `quantize` where that is possible, else as numbers of another type."""
    factor, middle, values = _known(context, scale), _known(context, zero, 0), context.array(x)
    if values is not None and factor is not None and middle is not None:
        return context.successor(x, _integers(values, factor, middle, axis, low, high))
    whole = next((limits for limits in _TYPES if limits[0] <= low and high <= limits[1]), None)
    cut = whole != (low, high)
    if (
        whole is None
        or factor is None
        or middle is None
        or context.opset < Opset.CoreML7
        or (cut and axis is not None)
    ):
        return _rounded(context, x, scale, zero, axis, low, high)
    if cut:  # fewer integers than the type has
        least, most = (float((limit - middle.item()) * factor.item()) for limit in (low, high))
        x = context.op("clip", x=x, alpha=least, beta=most)
    kind = _TYPES[whole]
    parameters = _parameters(factor, middle, kind, axis)
    return context.op("quantize", input=x, output_dtype=kind.__name__, **parameters)


def _dequantized(
    context: Context,
    integers: Value,
    scale: Any,
    zero: Any,
    axis: int | None,
    low: int,
    high: int,
) -> Value:
    factor, middle = _known(context, scale), _known(context, zero, 0)
    stored = context.array(integers)
    if stored is not None and factor is not None and middle is not None:
        scales = np.asarray(_spread(torch.tensor(factor).float(), stored.ndim, axis))
        zeros = np.asarray(_spread(torch.tensor(middle), stored.ndim, axis))
        return context.successor(integers, _weight(context.opset, stored, scales, zeros, low, high))
    kind = integers.type.dtype.storage.type if isinstance(integers.type, TensorType) else None
    if factor is not None and middle is not None and kind in _TYPES.values():
        return context.result("dequantize", input=integers, **_parameters(factor, middle, kind, axis))
    centred = context.op("sub", x=integers, y=_along(context, integers, zero, axis, 0))
    return context.result("mul", x=centred, y=_along(context, integers, scale, axis))


def _known(context: Context, parameter: Any, default: float | None = None) -> _Array | None:
    """Returns a scale or zero points if they are known when the program is made."""
    if isinstance(parameter, Value):
        return context.array(parameter)
    return np.asarray(default if parameter is None else parameter)


def _integers(values: _Array, scale: _Array, zero: _Array, axis: int | None, low: int, high: int) -> _Array:
    """Returns the integers that torch rounds to, int32."""
    x, scales = torch.tensor(values).float(), torch.tensor(scale).float()
    zeros = torch.tensor(zero).to(torch.int32)
    if axis is None:
        grid = torch.fake_quantize_per_tensor_affine(x, scales.reshape(()), zeros.reshape(()), low, high)
    else:
        grid = torch.fake_quantize_per_channel_affine(x, scales, zeros.expand_as(scales), axis, low, high)
    steps = grid / _spread(scales, x.dim(), axis) + _spread(zeros, x.dim(), axis)
    return np.asarray(steps.round().to(torch.int32))


def _weight(opset: Opset, integers: _Array, scales: _Array, zeros: _Array, low: int, high: int) -> Encoding:
    """Returns the encoding of a weight; dense where the opset has none for it.

    Scales and zero points have the rank of the weight, and a size that divides its own.
    """
    for dtype in _NARROWEST_FIRST:
        if dtype.low <= low and high <= dtype.high:
            made = Affine(
                _stored(integers, dtype),
                Dense(Tensor.from_numpy(scales)),
                _stored(np.broadcast_to(zeros, scales.shape), dtype) if zeros.any() else None,
            )
            if opset >= Opset.CoreML6 and why_illegal(canonical(made, opset), opset) is None:
                return made
    wide, centre = (spread(each, integers.shape) for each in (scales, zeros))
    return Dense(Tensor.from_numpy(((integers - centre) * wide).astype(np.float32)))


def _stored(integers: _Array, dtype: DType) -> Dense:
    return Dense(Tensor.from_numpy(np.ascontiguousarray(integers).astype(dtype.storage), dtype))


def _spread(parameters: torch.Tensor, rank: int, axis: int | None) -> torch.Tensor:
    """Returns scales or zero points in the rank of what they belong to."""
    sizes = [1] * rank
    if axis is not None:
        sizes[axis] = -1
    return parameters.reshape(sizes)


def _parameters(scale: _Array, zero: _Array, kind: Any, axis: int | None) -> dict[str, Any]:
    """Returns the operands of `quantize` and `dequantize` but their input."""
    scales = scale.astype(np.float32).reshape(-1)
    zeros = np.broadcast_to(zero.astype(kind).reshape(-1), scales.shape)
    if axis is None:
        return {"scale": scales.reshape(()), "zero_point": zeros.reshape(())}
    return {"scale": scales, "zero_point": np.ascontiguousarray(zeros), "axis": axis}


def _rounded(
    context: Context, x: Value, scale: Any, zero: Any, axis: int | None, low: int, high: int
) -> Value:
    """Returns integers as floats: those of other widths, and where there is no quantize."""
    steps = context.op("round", x=context.op("real_div", x=x, y=_along(context, x, scale, axis)))
    centred = context.op("add", x=steps, y=_along(context, x, zero, axis, 0))
    return context.op("clip", x=centred, alpha=float(low), beta=float(high))


def _along(
    context: Context, x: Value, parameter: Any, axis: int | None, default: float | None = None
) -> Value | float:
    if not isinstance(parameter, Value):
        return float(default if parameter is None and default is not None else parameter)
    sizes = [-1 if each == axis else 1 for each in range(context.rank(x))]
    floats = context.floats(parameter)
    return floats if axis is None else context.reshape(floats, sizes)
