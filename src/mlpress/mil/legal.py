"""Which encodings the constexpr operators of an opset can express, with the reason where they cannot."""

from __future__ import annotations

from mlpress.bits import FLOAT32, INT4, INT8, UINT3, UINT4, UINT8
from mlpress.encoding import Affine, Dense, Encoding, Lut, Scatter, Sparse
from mlpress.mil.opset import Opset


def why_illegal(encoding: Encoding, opset: Opset) -> str | None:
    """Returns why `opset` cannot express `encoding` as one constant, or None if it can."""
    if isinstance(encoding, Dense):
        return None
    if encoding.masked:
        return "a sparse weight has to be scattered to a dense one at the end"
    if opset < Opset.CoreML6:
        return f"compressed weights need iOS 16 or later; the model targets {opset.target}"
    if opset < Opset.CoreML8:
        return _why_illegal_before_ios18(encoding, opset)
    return _why_illegal_since_ios18(encoding)


def is_cast(encoding: Encoding) -> bool:
    """Whether the tree is a float16 constant widened to float32: `constexpr_cast`."""
    match encoding:
        case Affine(Dense(values), Dense(scale), None):
            return (
                values.dtype.name == "float16"
                and scale.dtype == FLOAT32
                and scale.size == 1 == scale.numpy().item()
            )
    return False


def _why_illegal_since_ios18(encoding: Encoding) -> str | None:
    match encoding:
        case Affine(data, scale, offset):
            if not encoding.shape and not is_cast(encoding):
                return "a scalar cannot be quantized"
            if offset is not None and offset.dtype != data.dtype and not offset.dtype.is_float:
                return f"an integer offset has the dtype of the data, {data.dtype}, not {offset.dtype}"
            operands = [data, scale, *([] if offset is None else [offset])]
        case Lut(indices, table):
            if not isinstance(indices, (Dense, Sparse)):
                return "look-up indices have to be stored as they are"
            operands = [table]
        case Scatter(source):
            operands = [source]
        case _:
            operands = []
    return next((reason for operand in operands if (reason := _why_illegal_since_ios18(operand))), None)


def _why_illegal_before_ios18(encoding: Encoding, opset: Opset) -> str | None:
    ios18 = f"needs iOS 18 or later; the model targets {opset.target}"
    match encoding:
        case Affine() if is_cast(encoding):
            return None
        case Affine(Dense(data), Dense(scale), offset):
            if data.dtype in (INT4, UINT4):
                return f"4-bit quantization {ios18}"
            if data.dtype not in (INT8, UINT8):
                return f"quantized data of dtype {data.dtype} {ios18}"
            if sum(size != 1 for size in scale.shape) > 1 or any(
                size not in (1, whole) for size, whole in zip(scale.shape, data.shape, strict=True)
            ):
                return f"per-block quantization {ios18}"
            if offset is not None and not isinstance(offset, Dense):
                return f"a compressed offset {ios18}"
            return None
        case Lut(Dense(indices), Dense(table), vector_axis):
            if vector_axis is not None:
                return f"vector palettization {ios18}"
            if any(size != 1 for size in table.shape[:-2]):
                return f"per-grouped-channel palettization {ios18}"
            if indices.dtype == UINT3:
                return f"3-bit palettization {ios18}"
            return None
        case Scatter(Sparse(_, values)):
            return (
                f"a sparse weight of {values.dtype} values {ios18}" if values.dtype in (INT4, UINT4) else None
            )
    return f"joint compression {ios18}"
