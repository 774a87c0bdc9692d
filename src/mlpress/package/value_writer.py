"""Writing values: in place when they are small, into the blob file when they are not."""

from __future__ import annotations

from typing import Final

from mlpress import bits
from mlpress.bits import Tensor
from mlpress.errors import InvalidProgramError
from mlpress.mil import DictionaryType, ListType, Literal, StringType, TensorType, TupleType, Type
from mlpress.package.blob_format import CODES
from mlpress.package.blob_writer import BlobLayout
from mlpress.package.manifest import WEIGHT_FILE, WEIGHTS
from mlpress.package.mapped import is_mapped
from mlpress.package.proto import mil_pb2 as pb
from mlpress.package.tensor_values import write_tensor
from mlpress.package.types_io import write_type

FILE_NAME: Final = f"@model_path/{WEIGHTS}/{WEIGHT_FILE}"

_FEWEST_IN_BLOB: Final = 10
"""Elements from which on a constant goes to the blob file."""

_SMALL: Final = 64
"""Bytes up to which a tensor written in place is remembered: programs repeat small ones many times."""

_WIDE_INTEGERS: Final = (bits.INT16, bits.UINT16, bits.INT32, bits.UINT32)
_WIDE_INTEGERS_SINCE: Final = 9
"""Specification version (iOS 18) from which on blobs hold integers above a byte."""


class ValueWriter:
    """Fills values of one model and plans its blob file.

    Attributes:
        layout: The blobs asked for so far.
    """

    def __init__(self, specification_version: int) -> None:
        self.layout = BlobLayout()
        wide = () if specification_version >= _WIDE_INTEGERS_SINCE else _WIDE_INTEGERS
        self._blob_dtypes = frozenset(CODES).difference(wide)
        self._small: dict[tuple[Type, bytes], bytes] = {}

    def constant(self, literal: Literal, proto: pb.Value) -> None:
        """Fills the empty `proto` with a constant, in place if it is small or of a type no blob can hold."""
        tensor = literal.value
        if (
            isinstance(tensor, Tensor)
            and tensor.size >= _FEWEST_IN_BLOB
            and tensor.dtype in self._blob_dtypes
        ):
            self._blob(literal, tensor, proto)
        else:
            self.inline(literal, proto)

    def inline(self, literal: Literal, proto: pb.Value) -> None:
        """Fills the empty `proto` with a literal of an ordinary operator or attribute.

        It is written in place, unless it came from a blob file.
        """
        tensor = literal.value
        if isinstance(tensor, Tensor) and is_mapped(tensor) and tensor.dtype in self._blob_dtypes:
            self._blob(literal, tensor, proto)
        elif isinstance(tensor, Tensor) and tensor.nbytes <= _SMALL:
            proto.MergeFromString(self._small_wire(literal, tensor))
        else:
            self._in_place(literal, proto)

    def _small_wire(self, literal: Literal, tensor: Tensor) -> bytes:
        """Returns the serialized value of a small tensor."""
        key = literal.type, bytes(tensor.buffer)
        if key not in self._small:
            value = pb.Value()
            self._in_place(literal, value)
            self._small[key] = value.SerializeToString()
        return self._small[key]

    def _in_place(self, literal: Literal, proto: pb.Value) -> None:
        write_type(literal.type, proto.type)
        self._immediate(literal, proto.immediateValue)

    def _blob(self, literal: Literal, tensor: Tensor, proto: pb.Value) -> None:
        write_type(literal.type, proto.type)
        proto.blobFileValue.fileName = FILE_NAME
        proto.blobFileValue.offset = self.layout.add(tensor)

    def _immediate(self, literal: Literal, proto: pb.Value.ImmediateValue) -> None:
        value = literal.value
        match literal.type:
            case StringType() if not isinstance(value, Tensor):
                proto.tensor.strings.values.extend([value] if isinstance(value, str) else value)
                proto.tensor.strings.SetInParent()
            case ListType() if isinstance(value, tuple):
                proto.list.SetInParent()
                for element in value:
                    self.inline(element, proto.list.values.add())
            case TupleType() if isinstance(value, tuple):
                proto.tuple.SetInParent()
                for element in value:
                    self.inline(element, proto.tuple.values.add())
            case DictionaryType() if isinstance(value, tuple):
                proto.dictionary.SetInParent()
                for key, entry in value:
                    pair = proto.dictionary.values.add()
                    self.inline(key, pair.key)
                    self.inline(entry, pair.value)
            case TensorType() if isinstance(value, Tensor):
                write_tensor(value, proto.tensor)
            case type_:
                raise InvalidProgramError(f"a literal of type {type_} cannot hold a {type(value).__name__}")
