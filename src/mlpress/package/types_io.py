"""Types of values, between the file and the program."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from mlpress import bits
from mlpress.bits import DType
from mlpress.errors import InvalidProgramError
from mlpress.mil import DictionaryType, ListType, StateType, StringType, TensorType, TupleType, Type
from mlpress.package.proto import mil_pb2 as pb

_CODES: Final[dict[DType, pb.DataType]] = {
    bits.BOOL: pb.BOOL,
    bits.FLOAT16: pb.FLOAT16,
    bits.FLOAT32: pb.FLOAT32,
    bits.FLOAT64: pb.FLOAT64,
    bits.BFLOAT16: pb.BFLOAT16,
    bits.INT8: pb.INT8,
    bits.INT16: pb.INT16,
    bits.INT32: pb.INT32,
    bits.INT64: pb.INT64,
    bits.INT4: pb.INT4,
    bits.UINT8: pb.UINT8,
    bits.UINT16: pb.UINT16,
    bits.UINT32: pb.UINT32,
    bits.UINT64: pb.UINT64,
    bits.UINT4: pb.UINT4,
    bits.UINT2: pb.UINT2,
    bits.UINT1: pb.UINT1,
    bits.UINT6: pb.UINT6,
    bits.UINT3: pb.UINT3,
    bits.FLOAT8_E4M3FN: pb.FLOAT8E4M3FN,
    bits.FLOAT8_E5M2: pb.FLOAT8E5M2,
}
_DTYPES: Final[dict[int, DType]] = {int(code): dtype for dtype, code in _CODES.items()}


def read_type(proto: pb.ValueType) -> Type:
    """Returns the type that `proto` states.

    Raises:
        InvalidProgramError: The type is missing, unknown, or contradicts itself.
    """
    return _parse_type(proto.SerializeToString())


@lru_cache(maxsize=4096)
def _parse_type(data: bytes) -> Type:
    """Programs state few types, each many times."""
    proto = pb.ValueType.FromString(data)
    match proto.WhichOneof("type"):
        case "tensorType":
            return _read_tensor_type(proto.tensorType)
        case "listType":
            return ListType(read_type(proto.listType.type), _read_size(proto.listType.length))
        case "tupleType":
            return TupleType(tuple(map(read_type, proto.tupleType.types)))
        case "dictionaryType":
            return DictionaryType(
                read_type(proto.dictionaryType.keyType), read_type(proto.dictionaryType.valueType)
            )
        case "stateType":
            return StateType(read_type(proto.stateType.wrappedType))
    raise InvalidProgramError("a value has no type")


def write_type(type_: Type, proto: pb.ValueType) -> None:
    """Fills the empty `proto` with `type_`."""
    proto.MergeFromString(_type_wire(type_))


@lru_cache(maxsize=4096)
def _type_wire(type_: Type) -> bytes:
    proto = pb.ValueType()
    _fill_type(type_, proto)
    return proto.SerializeToString()


def _fill_type(type_: Type, proto: pb.ValueType) -> None:
    match type_:
        case TensorType(dtype, shape):
            _write_tensor_type(_CODES[dtype], shape, proto.tensorType)
        case StringType(shape):
            _write_tensor_type(pb.STRING, shape, proto.tensorType)
        case ListType(element, length):
            write_type(element, proto.listType.type)
            _write_size(length, proto.listType.length)
        case TupleType(elements):
            proto.tupleType.SetInParent()
            for element in elements:
                write_type(element, proto.tupleType.types.add())
        case DictionaryType(key, value):
            write_type(key, proto.dictionaryType.keyType)
            write_type(value, proto.dictionaryType.valueType)
        case StateType(wrapped):
            write_type(wrapped, proto.stateType.wrappedType)


def _read_tensor_type(proto: pb.TensorType) -> Type:
    shape = tuple(map(_read_size, proto.dimensions))
    if proto.rank != len(shape):
        raise InvalidProgramError(f"a tensor type states rank {proto.rank} and has {len(shape)} dimensions")
    if proto.dataType == pb.STRING:
        return StringType(shape)
    dtype = _DTYPES.get(proto.dataType)
    if dtype is None:
        raise InvalidProgramError(f"unknown element type code {proto.dataType}; known: {sorted(_DTYPES)}")
    return TensorType(dtype, shape)


def _write_tensor_type(code: pb.DataType, shape: Sequence[int | None], proto: pb.TensorType) -> None:
    proto.dataType = code
    proto.rank = len(shape)
    for size in shape:
        _write_size(size, proto.dimensions.add())


def _read_size(proto: pb.Dimension) -> int | None:
    match proto.WhichOneof("dimension"):
        case "constant" if proto.constant.size < 1 << 63:
            return proto.constant.size
        case "constant":
            raise InvalidProgramError(f"a dimension of size {proto.constant.size} is too large")
        case "unknown" if not proto.unknown.variadic:
            return None
        case "unknown":
            raise InvalidProgramError("tensors with a variadic number of dimensions are not supported")
    raise InvalidProgramError("a dimension is neither constant nor unknown")


def _write_size(size: int | None, proto: pb.Dimension) -> None:
    if size is None:
        proto.unknown.variadic = False
        proto.unknown.SetInParent()
    else:
        proto.constant.size = size
        proto.constant.SetInParent()
