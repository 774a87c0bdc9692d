"""Types and values, there and back: every element type, every nesting, bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlpress import bits
from mlpress.bits import ALL_DTYPES, DType, Tensor
from mlpress.errors import InvalidPackageError, InvalidProgramError
from mlpress.mil import (
    DictionaryType,
    ListType,
    Literal,
    StateType,
    StringType,
    TensorType,
    TupleType,
    Type,
    literal,
)
from mlpress.package.proto import mil_pb2 as pb
from mlpress.package.types_io import read_type, write_type
from mlpress.package.value_reader import ValueReader
from mlpress.package.value_writer import ValueWriter
from tests.unit.package.samples import number, string, tensor

SIZES = st.one_of(st.none(), st.integers(0, 2**63 - 1))
SHAPES = st.lists(SIZES, max_size=5).map(tuple)
TYPES = st.recursive(
    st.builds(TensorType, st.sampled_from(ALL_DTYPES), SHAPES) | st.builds(StringType, SHAPES),
    lambda inner: (
        st.builds(ListType, inner, SIZES)
        | st.builds(TupleType, st.lists(inner, max_size=3).map(tuple))
        | st.builds(DictionaryType, inner, inner)
        | st.builds(StateType, inner)
    ),
    max_leaves=5,
)


def value_of(literal_: Literal) -> pb.Value:
    proto = pb.Value()
    ValueWriter(9).inline(literal_, proto)
    return proto


def read(proto: pb.Value) -> Literal:
    return ValueReader(None).literal(pb.Value.FromString(proto.SerializeToString()))


@st.composite
def tensors(draw: st.DrawFn) -> Tensor:
    dtype = draw(st.sampled_from(ALL_DTYPES))
    shape = tuple(draw(st.lists(st.integers(0, 4), max_size=3)))
    count = int(np.prod(shape, dtype=int))
    if dtype == bits.BOOL:
        return tensor(
            np.array(draw(st.lists(st.booleans(), min_size=count, max_size=count))).reshape(shape), dtype
        )
    raw = bytearray(draw(st.binary(min_size=dtype.nbytes(count), max_size=dtype.nbytes(count))))
    if raw and count * dtype.bits % 8:
        raw[-1] &= (1 << count * dtype.bits % 8) - 1
    return Tensor(dtype, shape, bytes(raw))


@given(TYPES)
def test_types_come_back(type_: Type) -> None:
    proto = pb.ValueType()
    write_type(type_, proto)

    assert read_type(pb.ValueType.FromString(proto.SerializeToString())) == type_


@given(tensors())
def test_tensors_written_in_place_come_back_bit_for_bit(values: Tensor) -> None:
    # Any bits, so signalling NaNs with payloads among the floats too.
    assert read(value_of(literal(values))) == literal(values)


@pytest.mark.parametrize(
    ("dtype", "field"),
    [
        (bits.FLOAT32, "floats"),
        (bits.FLOAT64, "doubles"),
        (bits.INT16, "ints"),
        (bits.UINT16, "ints"),
        (bits.INT32, "ints"),
        (bits.INT64, "longInts"),
        (bits.BOOL, "bools"),
        (bits.FLOAT16, "bytes"),
        (bits.INT8, "bytes"),
        (bits.UINT8, "bytes"),
        (bits.UINT32, "bytes"),
        (bits.INT4, "bytes"),
        (bits.UINT3, "bytes"),
    ],
)
def test_each_type_has_its_field(dtype: DType, field: str) -> None:
    proto = value_of(literal(tensor([1, 0, 1], dtype)))

    assert proto.immediateValue.tensor.WhichOneof("value") == field


@pytest.mark.parametrize(
    "value",
    [
        string("text"),
        Literal(StringType((2,)), ("a", "b")),
        Literal(StringType((0,)), ()),
        Literal(ListType(StringType(), 2), (string("a"), string("b"))),
        Literal(ListType(StringType(), 0), ()),
        Literal(TupleType((StringType(), number(1).type)), (string("a"), number(1))),
        Literal(TupleType(()), ()),
        Literal(DictionaryType(StringType(), number(1).type), ((string("a"), number(7)),)),
        Literal(DictionaryType(StringType(), StringType()), ()),
    ],
    ids=repr,
)
def test_other_values_come_back(value: Literal) -> None:
    assert read(value_of(value)) == value


@pytest.mark.parametrize(
    ("elements", "dtype", "version", "in_blob"),
    [
        (9, bits.FLOAT16, 9, False),
        (10, bits.FLOAT16, 9, True),
        (10, bits.FLOAT16, 6, True),
        (10, bits.UINT4, 9, True),
        (10, bits.INT32, 9, True),
        (10, bits.INT32, 8, False),
        (10, bits.UINT16, 8, False),
        (10, bits.INT64, 9, False),
        (10, bits.BOOL, 9, False),
        (10, bits.FLOAT64, 9, False),
    ],
)
def test_constants_of_ten_elements_go_to_the_blob_file(
    elements: int, dtype: DType, version: int, in_blob: bool
) -> None:
    proto = pb.Value()
    writer = ValueWriter(version)
    writer.constant(literal(tensor([1] * elements, dtype)), proto)

    assert (proto.WhichOneof("value") == "blobFileValue") == in_blob
    assert len(writer.layout) == in_blob
    if in_blob:
        assert proto.blobFileValue.fileName == "@model_path/weights/weight.bin"
        assert proto.blobFileValue.offset == 64


def damaged(text: str) -> pb.Value:
    """A value in protobuf's text format."""
    from google.protobuf import text_format

    return text_format.Parse(text, pb.Value())


SIZE = "type { tensorType { rank: 1 dataType: INT32 dimensions { %s } } }"
TENSOR = "type { tensorType { dataType: %s rank: 1 dimensions { constant { size: 2 } } } } %s"


@pytest.mark.parametrize(
    ("proto", "message"),
    [
        ("", "has no type"),
        ("type { tensorType { rank: 2 dataType: INT32 } }", "states rank 2 and has 0 dimensions"),
        ("type { tensorType { rank: -1 dataType: INT32 } }", "states rank -1"),
        (SIZE % "", "neither constant nor unknown"),
        (SIZE % "unknown { variadic: true }", "variadic"),
        (SIZE % "constant { size: 18446744073709551615 }", "too large"),
        ("type { tensorType { dataType: UNUSED_TYPE } }", "unknown element type code 0"),
        ("type { listType { } }", "has no type"),
        (TENSOR % ("INT32", ""), "is missing"),
        (TENSOR % ("INT32", "immediateValue { }"), "written as a None"),
        (TENSOR % ("INT32", "immediateValue { list { } }"), "written as a list"),
        (TENSOR % ("INT32", "immediateValue { tensor { } }"), "takes 8 bytes, not 0"),
        (TENSOR % ("INT32", "immediateValue { tensor { ints { values: 1 } } }"), "takes 8 bytes, not 4"),
        (
            TENSOR % ("INT32", "immediateValue { tensor { floats { values: 1 values: 2 } } }"),
            "field 'floats'",
        ),
        (
            TENSOR % ("INT16", "immediateValue { tensor { ints { values: 1 values: 70000 } } }"),
            "-32768 to 32767",
        ),
        (TENSOR % ("UINT1", 'immediateValue { tensor { bytes { values: "\\377" } } }'), "6 unused bits"),
        (
            TENSOR % ("BOOL", 'immediateValue { tensor { bytes { values: "\\001\\002" } } }'),
            "other than 0 and 1",
        ),
        (
            TENSOR % ("FLOAT16", 'immediateValue { tensor { bytes { values: "abc" } } }'),
            "takes 4 bytes, not 3",
        ),
        (
            TENSOR % ("STRING", 'immediateValue { tensor { strings { values: "a" } } }'),
            "1 strings do not fill",
        ),
        (TENSOR % ("STRING", "immediateValue { tensor { ints { values: 1 } } }"), "in the field 'ints'"),
        (
            TENSOR % ("STRING", 'blobFileValue { fileName: "@model_path/weights/weight.bin" }'),
            "cannot lie in a",
        ),
        (
            TENSOR % ("FLOAT16", 'blobFileValue { fileName: "@model_path/weights/weight.bin" }'),
            "no directory",
        ),
        (
            TENSOR % ("FLOAT16", 'blobFileValue { fileName: "@model_path/../../weight.bin" }'),
            "leaves the package",
        ),
        (TENSOR % ("FLOAT16", 'blobFileValue { fileName: "/etc/passwd" }'), "leaves the package"),
        (TENSOR % ("FLOAT16", 'blobFileValue { fileName: "" }'), "leaves the package"),
        (
            (
                "type { tensorType { dataType: INT32 rank: 2 dimensions { constant { } } "
                "dimensions { constant { size: 4611686018427387904 } } } } immediateValue { tensor { } }"
            ),
            "beyond all bounds",
        ),
        (
            (
                "type { tensorType { dataType: INT32 rank: 1 dimensions { unknown { } } } } "
                "immediateValue { tensor { ints { } } }"
            ),
            "needs a shape that is fully known",
        ),
    ],
)
def test_a_damaged_value_is_refused(proto: str, message: str) -> None:
    with pytest.raises((InvalidProgramError, InvalidPackageError), match=message):
        read(damaged(proto))


@pytest.mark.parametrize(
    "value",
    [
        Literal(TensorType(bits.INT32, (1,)), "text"),
        Literal(StringType(), tensor([1])),
        Literal(ListType(StringType(), 1), "text"),
    ],
    ids=repr,
)
def test_a_literal_that_is_not_of_its_type_is_not_written(value: Any) -> None:
    with pytest.raises(InvalidProgramError, match="cannot hold a"):
        value_of(value)
