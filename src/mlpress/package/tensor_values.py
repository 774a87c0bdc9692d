"""Tensors written in place, between the file's typed lists of numbers and bytes."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
from google.protobuf.message import Message

from mlpress import bits
from mlpress.bits import DType, Tensor
from mlpress.errors import InvalidProgramError
from mlpress.package.blob_format import padding_bits
from mlpress.package.proto import mil_pb2 as pb

_FIELDS: Final[dict[DType, str]] = {
    bits.FLOAT32: "floats",
    bits.FLOAT64: "doubles",
    bits.INT16: "ints",
    bits.UINT16: "ints",
    bits.INT32: "ints",
    bits.INT64: "longInts",
    bits.UINT64: "longInts",
    bits.BOOL: "bools",
}
"""The field that holds each element type; all other types are in `bytes`, as a blob would hold them."""


def read_tensor(proto: pb.TensorValue, dtype: DType, shape: tuple[int, ...]) -> Tensor:
    """Returns the tensor of the stated type.

    Raises:
        InvalidProgramError: The values are in another field than the type calls for, out of its range, or of
            another number.
    """
    field = proto.WhichOneof("value") or _FIELDS.get(dtype, "bytes")
    if field == "bytes":
        return _from_bytes(proto.bytes.values, dtype, shape)
    if field != _FIELDS.get(dtype):
        raise InvalidProgramError(f"elements of a {dtype} tensor are in the field {field!r}")
    try:
        return Tensor(dtype, shape, _elements(proto, field, dtype).tobytes())
    except ValueError as error:
        raise InvalidProgramError(str(error)) from error


def write_tensor(tensor: Tensor, proto: pb.TensorValue) -> None:
    """Fills the empty `proto` with the elements of `tensor`."""
    match _FIELDS.get(tensor.dtype):
        case "floats":
            proto.floats.MergeFromString(_packed(bytes(tensor.buffer)))
            proto.floats.SetInParent()
        case "doubles":
            proto.doubles.MergeFromString(_packed(bytes(tensor.buffer)))
            proto.doubles.SetInParent()
        case "ints":
            proto.ints.values.extend(tensor.numpy().reshape(-1).tolist())
            proto.ints.SetInParent()
        case "longInts":
            proto.longInts.values.extend(tensor.numpy().reshape(-1).view(np.int64).tolist())
            proto.longInts.SetInParent()
        case "bools":
            proto.bools.values.extend(tensor.numpy().reshape(-1).tolist())
            proto.bools.SetInParent()
        case _:
            proto.bytes.values = bytes(tensor.buffer)
            proto.bytes.SetInParent()


def _from_bytes(data: bytes, dtype: DType, shape: tuple[int, ...]) -> Tensor:
    try:
        tensor = Tensor(dtype, shape, data)
    except ValueError as error:
        raise InvalidProgramError(str(error)) from error
    unused = padding_bits(dtype, tensor.size)
    if unused and data[-1] >> (8 - unused):
        raise InvalidProgramError(f"the {unused} unused bits at the end of a {dtype} tensor are not zero")
    if dtype == bits.BOOL and data.translate(None, b"\0\1"):
        raise InvalidProgramError("a bool tensor holds bytes other than 0 and 1")
    return tensor


def _elements(proto: pb.TensorValue, field: str, dtype: DType) -> npt.NDArray[Any]:
    values = getattr(proto, field)
    if dtype.is_float:
        return _unpacked(values, dtype)
    if field == "longInts":
        return np.array(values.values, np.int64).view(dtype.storage)
    if field == "bools":
        return np.array(values.values, np.bool_)
    wide = np.array(values.values, np.int32)
    elements = wide.astype(dtype.storage)
    if not np.array_equal(wide, elements):
        raise InvalidProgramError(f"a value of a {dtype} tensor is outside {dtype.low} to {dtype.high}")
    return elements


def _unpacked(values: Message, dtype: DType) -> npt.NDArray[Any]:
    """Returns the floats of a repeated field bit for bit; Python floats may change the payload of a NaN."""
    plain = type(values)()
    plain.CopyFrom(values)
    plain.DiscardUnknownFields()
    wire = plain.SerializeToString()
    # One packed field: tag, length as a varint (its last byte is the first below 128), elements.
    start = 1
    while start < len(wire) and wire[start] >= 128:
        start += 1
    return np.frombuffer(wire[start + 1 :], dtype.storage.newbyteorder("<"))


def _packed(data: bytes) -> bytes:
    """Returns the wire form of a message whose field 1 is a packed repeated field of these bytes."""
    length = bytearray()
    rest = len(data)
    while rest >= 128:
        length.append(rest & 127 | 128)
        rest >>= 7
    length.append(rest)
    return b"\x0a" + bytes(length) + data if data else b""
