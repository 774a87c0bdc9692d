"""Reading values: literals written in place, and tensors in blob files."""

from __future__ import annotations

import math
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Final

from mlpress.bits import Tensor
from mlpress.errors import InvalidPackageError, InvalidProgramError
from mlpress.mil import DictionaryType, ListType, Literal, StringType, TensorType, TupleType
from mlpress.package.blob_reader import BlobReader
from mlpress.package.manifest import leaves
from mlpress.package.proto import mil_pb2 as pb
from mlpress.package.tensor_values import read_tensor
from mlpress.package.types_io import read_type

_HIGHEST_RANK: Final = 32
_LARGEST_SIZE: Final = 1 << 60

_SMALL: Final = 64
"""Bytes of a serialized value up to which it is remembered: programs repeat small ones many times."""


class ValueReader:
    """Turns values of one model into literals over its mapped blob files.

    Attributes:
        weights: Directory of the blob files; None for a model that has none.
    """

    def __init__(self, weights: Path | None) -> None:
        self.weights = weights
        self._files: dict[str, BlobReader] = {}
        self._small: dict[bytes, Literal] = {}

    def literal(self, proto: pb.Value) -> Literal:
        """Returns the value that `proto` holds or points at; the same object for equal small ones.

        Raises:
            InvalidProgramError: The value is missing or doesn't fit its type.
            InvalidPackageError: It lies in a blob file that is missing or damaged.
        """
        data = proto.SerializeToString()
        found = self._small.get(data)
        if found is None:
            found = self._literal(proto)
            if len(data) <= _SMALL:
                self._small[data] = found
        return found

    def _literal(self, proto: pb.Value) -> Literal:
        type_ = read_type(proto.type)
        match proto.WhichOneof("value"):
            case "blobFileValue":
                return Literal(type_, self._blob(proto.blobFileValue, type_))
            case "immediateValue":
                return Literal(type_, self._immediate(proto.immediateValue, type_))
        raise InvalidProgramError(f"a value of type {type_} is missing")

    def _blob(self, proto: pb.Value.BlobFileValue, type_: object) -> Tensor:
        if not isinstance(type_, TensorType):
            raise InvalidProgramError(f"a value of type {type_} cannot lie in a weight file")
        return self._file(proto.fileName).tensor(proto.offset, type_.dtype, _static(type_))

    def _file(self, file_name: str) -> BlobReader:
        # Names are "@model_path/weights/...", beside the model file; the last part says which file.
        name = _last_part(file_name)
        if name not in self._files:
            if self.weights is None:
                raise InvalidPackageError(
                    f"the program has weights in {file_name!r}, but no directory for them was found or given"
                )
            self._files[name] = BlobReader(self.weights / name)
        return self._files[name]

    def _immediate(self, proto: pb.Value.ImmediateValue, type_: object) -> Tensor | str | tuple[object, ...]:
        kind = proto.WhichOneof("value")
        match kind, type_:
            case "tensor", TensorType():
                return read_tensor(proto.tensor, type_.dtype, _static(type_))
            case "tensor", StringType(shape):
                return _strings(proto.tensor, shape)
            case "list", ListType():
                return tuple(map(self.literal, proto.list.values))
            case "tuple", TupleType():
                return tuple(map(self.literal, proto.tuple.values))
            case "dictionary", DictionaryType():
                return tuple(
                    (self.literal(pair.key), self.literal(pair.value)) for pair in proto.dictionary.values
                )
        raise InvalidProgramError(f"a value of type {type_} is written as a {kind}")


@lru_cache
def _last_part(file_name: str) -> str:
    if leaves(file_name):
        raise InvalidPackageError(f"weight file name {file_name!r} leaves the package")
    return PurePosixPath(file_name).name


def _static(type_: TensorType) -> tuple[int, ...]:
    sizes = tuple(size for size in type_.shape if size is not None)
    if len(sizes) != len(type_.shape):
        raise InvalidProgramError(f"a value of type {type_} needs a shape that is fully known")
    if len(sizes) > _HIGHEST_RANK or math.prod(size or 1 for size in sizes) > _LARGEST_SIZE:
        # Only zero sizes can hide such a shape: NumPy refuses it when the value is used.
        raise InvalidProgramError(f"a value of type {type_} has a shape beyond all bounds")
    return sizes


def _strings(proto: pb.TensorValue, shape: tuple[int | None, ...]) -> str | tuple[str, ...]:
    if proto.WhichOneof("value") not in ("strings", None):
        raise InvalidProgramError(f"strings are in the field {proto.WhichOneof('value')!r}")
    values = tuple(proto.strings.values)
    if None in shape or math.prod(size or 0 for size in shape) != len(values):
        raise InvalidProgramError(f"{len(values)} strings do not fill shape {shape}")
    return values if shape else values[0]
