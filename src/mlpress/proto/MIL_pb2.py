"""Messages of the program."""

from mlpress.package.proto.mil_pb2 import (
    Argument,
    Block,
    DataType,
    Function,
    NamedValueType,
    Operation,
    Program,
    TensorType,
    TensorValue,
    Value,
    ValueType,
)

__all__ = [
    "Argument",
    "Block",
    "DataType",
    "Function",
    "NamedValueType",
    "Operation",
    "Program",
    "TensorType",
    "TensorValue",
    "Value",
    "ValueType",
]
